/** Signatures of whole messages, as they are queued, before an independent verifier. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { test } from "node:test";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { signingCorpus } from "../../test/testbed/signing-corpus.ts";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { createSigner } from "../dkim/create.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import type { NewMessage, StoredBody } from "../queue/store.ts";
import { createCleanup } from "./create.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
const ed = generateKeyPairSync("ed25519");
const pem = (key: KeyObject) => Buffer.from(String(key.export({ type: "pkcs8", format: "pem" })));
const spki = (key: KeyObject) => key.export({ type: "spki", format: "der" });
const RECORDS: ReadonlyMap<string, string> = new Map([
  ["r._domainkey.example.org", `v=DKIM1; k=rsa; p=${spki(rsa.publicKey).toString("base64")}`],
  ["e._domainkey.example.org", `v=DKIM1; k=ed25519; p=${spki(ed.publicKey).subarray(-32).toString("base64")}`],
]);
const FILES: ReadonlyMap<string, Buffer> = new Map([
  ["/keys", Buffer.from("example.org r r.pem\nexample.org e e.pem\n")],
  ["/r.pem", pem(rsa.privateKey)],
  ["/e.pem", pem(ed.privateKey)],
]);
const log = new Log({ sink: () => undefined, now: () => 0, tag: "postfix/cleanup", id: 1 });

/** What is queued; content comes in chunks of that size. */
async function queued(content: string, chunk: number, settings: Readonly<Record<string, string>> = {}) {
  const params = parametersOf({ myhostname: "mail.example.org", postern_dkim_signing_file: "/keys", ...settings });
  const parts: Uint8Array[] = [];
  let message: NewMessage | undefined;
  const cleanup = createCleanup({
    ...{ params, log },
    store: {
      beginBody: () => ({
        sizeBytes: 0,
        write: (bytes: Uint8Array) => void parts.push(bytes),
        finish: (): StoredBody => ({ kind: "inline", bytes: Buffer.concat(parts) }),
        abort: async () => undefined,
      }),
      readBody: () => [],
      append: async (appended) => {
        message = appended;
        return undefined;
      },
    },
    signer: createSigner(params, {
      files: { read: (path) => FILES.get(path) ?? assert.fail(path) },
      clock: systemClock,
      log,
    }),
    laneOf: () => "smtp:x.test",
    ...{ arrived: () => undefined, poke: () => undefined, dueAt: () => undefined },
  });
  const to = asAddress("bob@example.net");
  const incoming = cleanup.begin({
    envelope: {
      ...{ queueId: formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 }), arrivalMs: 1_795_500_000_123 },
      ...{ sender: asAddress("alice@example.org"), smtputf8: false, body: "8BITMIME" },
      origin: { clientName: "c", clientAddress: "192.0.2.7", helo: "c", protocol: "ESMTP", service: "submission" },
    },
    recipients: [{ address: to, original: to }],
    ...{ tls: undefined, prepend: [], role: "submission" },
  });
  const bytes = Buffer.from(content, "latin1");
  for (let at = 0; at < bytes.length; at += chunk) await incoming.write(bytes.subarray(at, at + chunk));
  const result = await incoming.finish({ hold: false, discard: false });
  assert.equal(result.kind, "queued", JSON.stringify(result));
  return Buffer.concat([message?.header ?? Buffer.alloc(0), ...parts]);
}

async function verdicts(message: Buffer) {
  const resolver = async (name: string) => [[RECORDS.get(name) ?? ""]];
  const { results } = await dkimVerify(message, { resolver });
  return results.map(({ status, algo }) => `${status.result} ${algo}`).sort();
}

const BOTH = ["pass ed25519-sha256", "pass rsa-sha256"];
const CORPUS = signingCorpus("example.org");
const MODES: readonly { readonly settings: Readonly<Record<string, string>>; readonly why: string }[] = [
  { settings: {}, why: "relaxed" },
  { settings: { postern_dkim_canonicalization: "simple/simple" }, why: "simple" },
  { settings: { force_mime_input_conversion: "yes" }, why: "made quoted-printable before" },
];

for (const { settings, why } of MODES) {
  test(`DKIM-01, DKIM-02, DKIM-04: the signatures of ${CORPUS.length} messages verify: ${why}`, async () => {
    assert.ok(CORPUS.length >= 200);
    for (const [i, { name, content }] of CORPUS.entries()) {
      const message = await queued(content, [content.length, 65_536, 1000][i % 3] ?? 1, settings);
      assert.deepEqual(await verdicts(message), BOTH, name);
    }
  });
}

test("8BIT-02, DKIM-04: force_mime_input_conversion leaves nothing that a next hop would have to convert", async () => {
  for (const { name, content } of CORPUS.filter((one) => /8-bit text|parts/.test(one.name))) {
    const message = await queued(content, 777, { force_mime_input_conversion: "yes" });
    const text = message.toString("latin1");
    assert.match(text, /^Content-Transfer-Encoding: quoted-printable\r$/m, name);
    assert.ok(!/8bit/i.test(text) && !/[\x80-\xff]/.test(text), name);
  }
});
