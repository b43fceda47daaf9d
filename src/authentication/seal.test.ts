/** authentication/seal.test.ts: ARC sets: made for a message that is sent on, verified at the next host by what reads them, up to a full chain. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import type { CameField, SenderFacts } from "../mail/message-authentication.ts";
import { createAuthenticator } from "./create.ts";
import { fieldsOf, KEY_FILES, keyRecord, signed, zoneDns } from "./testdata/zone.ts";

const NOW = Date.UTC(2026, 10, 24);
const ZONE = {
  "TXT good.test": ["v=spf1 ip4:192.0.2.7 -all"],
  "TXT _dmarc.good.test": ["v=DMARC1; p=reject"],
  "TXT s._domainkey.good.test": [keyRecord("rsa")],
  "TXT e._domainkey.good.test": [keyRecord("ed25519")],
};
const AUTHOR: SenderFacts = {
  ...{ clientAddress: "192.0.2.7", helo: "mail.good.test", sender: "a@good.test", login: undefined, trusted: false },
};
/** Who sends the mail on: SPF of its author's domain fails. */
const FORWARDER: SenderFacts = { ...AUTHOR, clientAddress: "198.51.100.1", helo: "mx1.test" };

interface Host {
  readonly name?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly log?: (text: string) => void;
}

function open({ name = "mx.test", settings = {}, log = () => undefined }: Host) {
  const params = parametersOf({
    ...{ myhostname: name, postern_authentication_results: "yes", postern_arc_seal: "yes" },
    ...{ postern_arc_seal_domain: "good.test", postern_dkim_signing_file: "/keys", ...settings },
  });
  const authenticator = createAuthenticator(params, {
    ...{ dns: zoneDns(ZONE), files: KEY_FILES, role: "mx", asked: false },
    clock: { now: () => NOW, monotonic: () => 0 },
    log: new Log({ sink: ({ text }) => log(text), now: () => NOW, tag: "t", id: 1 }),
  });
  assert.ok(authenticator);
  return authenticator;
}

interface Passage extends Host {
  readonly from?: SenderFacts;
  readonly body?: string;
  /** What becomes of the header before it is stored. */
  readonly change?: (fields: readonly CameField[]) => readonly CameField[];
}

/** The header as it leaves the host, and the one word that it says of the ARC chain that came. */
async function pass(fields: readonly CameField[], passage: Passage = {}) {
  const { from = AUTHOR, body = "x\r\n", change = (same) => same } = passage;
  const message = open(passage).begin(from);
  const kept = change(await message.header(fields));
  message.update(Buffer.from(body));
  const seal = message.beginSeal();
  seal?.update(Buffer.from(body));
  const results = await message.resultsField();
  const stored = [...fieldsOf(results ?? ""), ...fieldsOf(`Received: by ${passage.name ?? "mx.test"}`), ...kept];
  const sealed = (await seal?.sign(stored))?.fields ?? [];
  const verdict = await message.verdict();
  return { fields: [...sealed.flatMap(fieldsOf), ...stored], sealed, arc: verdict?.arc, results: results ?? "" };
}

const HEADER = "From: a@good.test\r\nSubject: s\r\nTo: list@mx.test";

describe("ARC-01: a seal", () => {
  test("ARC-01: of a message without a chain is i=1 cv=none, AMS covers no trace, AS has no h=", async () => {
    const { sealed } = await pass(fieldsOf(HEADER));
    const [seal = "", signature = "", results = ""] = sealed;
    assert.match(seal, /^ARC-Seal: i=1;[\s\S]*cv=none/);
    assert.doesNotMatch(seal, /\bh=/);
    assert.match(signature, /^ARC-Message-Signature: i=1; a=rsa-sha256;/);
    const covered = /\bh=([^;]*);/.exec(signature)?.[1]?.toLowerCase() ?? "";
    assert.match(covered, /from/);
    assert.doesNotMatch(covered, /authentication-results|arc-|received|return-path/);
    assert.match(results, /^ARC-Authentication-Results: i=1; mx\.test;\r\n\t[\s\S]*spf=pass[\s\S]*dmarc=pass/);
    assert.ok(sealed.every((text) => !/\r\n(?![ \t])/.test(text)));
  });

  test("ARC-01: tells the next host what was found here, where DMARC fails there", async () => {
    const first = await pass(fieldsOf(HEADER), { name: "mx1.test" });
    const next = await pass(first.fields, { name: "mx2.test", from: FORWARDER });
    assert.match(next.results, /dmarc=fail/);
    assert.match(next.results, /arc=pass[^;]*/);
    assert.match(next.sealed[0] ?? "", /^ARC-Seal: i=2;[\s\S]*cv=pass/);
    assert.equal((await pass(next.fields, { name: "mx3.test", from: FORWARDER })).arc, "pass");
  });

  test("ARC-01: is broken by a change behind it, and such a chain is not sealed again", async () => {
    const first = await pass(fieldsOf(HEADER));
    const changed = await pass(first.fields, { from: FORWARDER, body: "changed\r\n" });
    assert.deepEqual([changed.arc, changed.sealed], ["fail", []]);
    const subject = first.fields.map((field) =>
      field.name === "subject" ? { ...field, text: "Subject: [list] s" } : field,
    );
    assert.equal((await pass(subject, { from: FORWARDER })).arc, "fail");
  });

  test("ARC-01: is not made over a chain of which a part was taken out on the way", async () => {
    const first = await pass(fieldsOf(HEADER));
    const without = await pass(first.fields, { change: (fields) => fields.filter(({ name }) => name !== "arc-seal") });
    assert.deepEqual([without.arc, without.sealed], ["pass", []]);
  });

  test("ARC-01: a chain of 50 sets gets no more", { timeout: 60_000 }, async () => {
    const said: string[] = [];
    let { fields } = await pass(await signed(HEADER, "x\r\n", { domain: "good.test", selector: "s", nowMs: NOW }));
    for (let i = 2; i <= 50; i++) {
      const passed = await pass(fields);
      assert.equal(passed.sealed.length, 3, String(i));
      fields = passed.fields.filter(({ name }) => name !== "received" && name !== "authentication-results");
    }
    const last = await pass(fields, { log: (text) => said.push(text) });
    assert.deepEqual([last.arc, last.sealed], ["pass", []]);
    assert.match(said.join("\n"), /cannot seal: .*50 sets/);
  });

  const WITHOUT = [
    { why: "where it is off", passage: { settings: { postern_arc_seal: "no" } }, says: /^$/ },
    { why: "for those who logged in", passage: { from: { ...AUTHOR, login: "a" } }, says: /^$/ },
    {
      why: "without a key of the domain",
      passage: { settings: { postern_arc_seal_domain: "other.test" } },
      says: /cannot seal: no key of other\.test/,
    },
    {
      why: "without a signing file",
      passage: { settings: { postern_dkim_signing_file: "" } },
      says: /cannot seal: postern_dkim_signing_file is empty/,
    },
    {
      why: "with a signing file that cannot be read",
      passage: { settings: { postern_dkim_signing_file: "/gone" } },
      says: /cannot seal: no \/gone/,
    },
  ];
  for (const { why, passage, says } of WITHOUT) {
    test(`ARC-01: is left out ${why}, and the mail goes on`, async () => {
      const said: string[] = [];
      const { sealed } = await pass(fieldsOf(HEADER), { ...passage, log: (text) => said.push(text) });
      assert.deepEqual(sealed, []);
      assert.match(said.join("\n"), says);
    });
  }
});
