/** authentication/signatures.test.ts: signatures that are not ours, made by mailauth: each form, hash and length, at any segmentation; and a body of
 *  50 MiB that is not held. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import { loadLibrary } from "./library.ts";
import { Signatures } from "./signatures.ts";
import { fieldsOf, signed } from "./testdata/zone.ts";
import { judge } from "./verdict.ts";

const KEY = generateKeyPairSync("rsa", { modulusLength: 1024 });
const SMALL = generateKeyPairSync("rsa", { modulusLength: 768 });
const pem = (key: typeof KEY) => String(key.privateKey.export({ type: "pkcs8", format: "pem" }));
const record = (key: typeof KEY) =>
  `v=DKIM1; k=rsa; p=${key.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;

const HEADER = "From: a@good.test\r\nSubject: one\r\n two \r\nTo: b@example.org";
const BODY = "a  b\t \r\n\r\n.c\r\nlast \r\n\r\n\r\n";

interface Made {
  readonly canonicalization?: string;
  readonly algorithm?: string;
  readonly maxBodyLength?: number;
  readonly key?: typeof KEY;
}

async function fieldsSignedBy({
  canonicalization = "relaxed/relaxed",
  algorithm = "rsa-sha256",
  maxBodyLength,
  key = KEY,
}: Made) {
  const { signatures } = await dkimSign(Buffer.from(`${HEADER}\r\n\r\n${BODY}`), {
    ...{ canonicalization, algorithm, signTime: new Date(0), headerList: ["from", "subject"] },
    signatureData: [
      {
        signingDomain: "good.test",
        selector: "s",
        privateKey: pem(key),
        ...(maxBodyLength !== undefined && { maxBodyLength }),
      },
    ],
  } as never);
  return fieldsOf(`${signatures.trim()}\r\n${HEADER}`);
}

async function verify(fields: ReturnType<typeof fieldsOf>, body: readonly string[], key = KEY) {
  const signatures = new Signatures({
    library: await loadLibrary(),
    resolve: async () => [[record(key)]],
    ...{ limit: 10, nowMs: 1000, sender: "" },
  });
  await signatures.header(fields);
  for (const piece of body) signatures.update(Buffer.from(piece, "latin1"));
  const [result] = await signatures.results();
  return { result: result?.status.result, comment: result?.status.comment, unsigned: result?.status.underSized };
}

const FORMS = [
  { made: {}, why: "DKIM-01: relaxed/relaxed" },
  { made: { canonicalization: "simple/simple" }, why: "DKIM-01: simple/simple" },
  { made: { canonicalization: "relaxed/simple" }, why: "DKIM-01: relaxed/simple" },
  { made: { canonicalization: "simple/relaxed" }, why: "DKIM-01: simple/relaxed" },
];

describe("a signature", () => {
  for (const { made, why } of FORMS) {
    test(`${why} passes at any segmentation, and fails with a byte more`, async () => {
      const fields = await fieldsSignedBy(made);
      assert.equal((await verify(fields, [...BODY])).result, "pass");
      assert.equal((await verify(fields, [`${BODY}x`])).result, "fail");
      const cuts = fc
        .array(fc.nat(BODY.length), { maxLength: 5 })
        .map((at) => [0, ...at.sort((a, b) => a - b), BODY.length]);
      await fc.assert(
        fc.asyncProperty(cuts, async (at) => {
          const pieces = at.slice(1).map((end, i) => BODY.slice(at[i], end));
          assert.equal((await verify(fields, pieces)).result, "pass");
        }),
        { numRuns: 30 },
      );
    });
  }

  test("DKIM-05: l= leaves the rest unsigned, and says how much", async () => {
    const fields = await fieldsSignedBy({ maxBodyLength: 5 });
    const { result, unsigned } = await verify(fields, [BODY]);
    assert.deepEqual([result, (unsigned ?? 0) > 0], ["pass", true]);
    assert.equal((await verify(fields, [BODY, "added\r\n"])).result, "pass");
    assert.equal((await verify(fields, ["x", BODY])).result, "fail");
  });

  test("DMARC-01: a signature that leaves a part of the body unsigned does not speak for the message", async () => {
    const library = await loadLibrary();
    const dmarcOf = async (made: Made) => {
      const resolve = async (name: string) => [[name.startsWith("_dmarc") ? "v=DMARC1; p=reject" : record(KEY)]];
      const signatures = new Signatures({ library, resolve, limit: 10, nowMs: 1000, sender: "" });
      await signatures.header(await fieldsSignedBy(made));
      signatures.update(Buffer.from(BODY));
      const asked = {
        keys: resolve,
        policies: resolve,
        serviceId: "mx.test",
        clientAddress: "192.0.2.1",
        sender: "",
        spf: [],
      };
      return (await judge(signatures, library, asked)).dmarc.result;
    };
    assert.deepEqual([await dmarcOf({}), await dmarcOf({ maxBodyLength: 5 })], ["pass", "fail"]);
  });

  test("DKIM-01: rsa-sha1 never passes, whatever it signs", async () => {
    assert.equal((await verify(await fieldsSignedBy({ algorithm: "rsa-sha1" }), [BODY])).result, "policy");
  });

  test("DKIM-01: an RSA key of less than 1024 bits does not pass", async () => {
    const { result } = await verify(await fieldsSignedBy({ key: SMALL }), [BODY], SMALL);
    assert.equal(result, "policy");
  });
});

test("a body of 50 MiB in one line is hashed and not held", async () => {
  const signatures = new Signatures({
    library: await loadLibrary(),
    resolve: async () => [[record(KEY)]],
    ...{ limit: 10, nowMs: 1000, sender: "" },
  });
  await signatures.header(await signed("From: a@good.test", "x", { domain: "good.test", selector: "s", nowMs: 0 }));
  const piece = Buffer.alloc(64 * 1024, "x y ");
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 800; i++) signatures.update(piece);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
  assert.equal((await signatures.results())[0]?.status.result, "fail");
});
