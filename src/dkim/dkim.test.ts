/** dkim/dkim.test.ts: signatures that an independent verifier accepts, for any message in any segmentation, and refuses when
 *  anything that was signed is changed. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import fc from "fast-check";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { BodyHash, type Canonicalization } from "./body-hash.ts";
import { canonicalField, type Field, hashedFields, signedNames } from "./fields.ts";
import { type Algorithm, generateKey, parseKey, publicRecord, zoneLine } from "./key.ts";
import { type SigningKey, signMessage } from "./sign.ts";

const NOW = Date.UTC(2026, 10, 24);
const ALGORITHMS: readonly Algorithm[] = ["rsa-sha256", "ed25519-sha256"];
const CANONICALIZATIONS: readonly Canonicalization[] = ["relaxed", "simple"];
const keys = new Map<Algorithm, SigningKey>();

before(() => {
  for (const algorithm of ALGORITHMS) {
    const parsed = parseKey(Buffer.from(generateKey(algorithm)));
    assert.ok(!("problem" in parsed));
    keys.set(algorithm, { ...parsed, domain: "example.org", selector: algorithm.slice(0, 3) });
  }
});

const keyOf = (algorithm: Algorithm): SigningKey => keys.get(algorithm) as SigningKey;

function fieldsOf(header: string): readonly Field[] {
  return (header.match(/^\S[^\r]*(?:\r\n[ \t][^\r]*)*/gm) ?? []).map((text) => ({
    name: text.slice(0, text.indexOf(":")).trim().toLowerCase(),
    text,
  }));
}

/** In pieces of the given size. */
function hashOf(body: string, canonicalization: Canonicalization, size = body.length || 1): string {
  const hash = new BodyHash(canonicalization);
  const bytes = Buffer.from(body, "latin1");
  for (let at = 0; at < bytes.length; at += size) hash.update(bytes.subarray(at, at + size));
  return hash.digest();
}

interface Signing {
  readonly algorithms?: readonly Algorithm[];
  readonly header?: Canonicalization;
  readonly body?: Canonicalization;
}

/** The whole message with its signatures on top. */
async function signed(header: string, body: string, signing: Signing = {}): Promise<string> {
  const { algorithms = ALGORITHMS, header: ofHeader = "relaxed", body: ofBody = "relaxed" } = signing;
  const options = { header: ofHeader, body: ofBody, bodyHash: hashOf(body, ofBody), nowMs: NOW, lifetimeS: 0 };
  const made = await Promise.all(algorithms.map((a) => signMessage(fieldsOf(header), keyOf(a), options)));
  return `${made.map((field) => `${field}\r\n`).join("")}${header}\r\n\r\n${body}`;
}

async function verdicts(message: string): Promise<readonly string[]> {
  const resolver = async (name: string) => {
    const key = [...keys.values()].find(({ selector }) => name === `${selector}._domainkey.example.org`);
    return key ? [[publicRecord(key)]] : [];
  };
  const { results } = await dkimVerify(Buffer.from(message, "latin1"), { resolver });
  return results.map(({ status }) => status.result);
}

const HEADER =
  `From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: Gr\xc3\xbc\xc3\x9fe  \r\n\t folded   twice
Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>`.replace(/([^\r])\n/g, "$1\r\n");

const BODIES = [
  { body: "", why: "no body at all" },
  { body: "\r\n", why: "an empty line is no body either" },
  { body: "\r\n\r\n\r\n", why: "empty lines at the end do not count" },
  { body: "one line\r\n", why: "plain" },
  { body: "no final newline", why: "one is added" },
  { body: "a\r\n\r\n\r\n", why: "trailing empty lines" },
  { body: " \t \r\n", why: "only white space" },
  { body: "x \t y  \r\n  z\r\n \r\n", why: "white space in every place" },
  { body: "a\rb\r\n", why: "a bare CR is content" },
  { body: "ends in a bare CR\r", why: "also as the last byte" },
  { body: "a\0b\r\n", why: "NUL (MSG-17)" },
  { body: `${"y".repeat(5000)}\r\n`, why: "a long line (DAT-08)" },
  { body: "\xc3\xbc\xff\xfe\r\n", why: "bytes that are no UTF-8" },
  { body: ".\r\n..\r\n", why: "dots: signed before they are stuffed (DKIM-04)" },
];

for (const { body, why } of BODIES) {
  for (const ofBody of CANONICALIZATIONS) {
    test(`both signatures verify (DKIM-01, DKIM-02), body ${ofBody}: ${why}`, async () => {
      assert.deepEqual(await verdicts(await signed(HEADER, body, { body: ofBody })), ["pass", "pass"]);
    });
  }
}

const HEADERS = [
  { header: HEADER, why: "folded field, white space at its end" },
  { header: "FROM : a@example.org\r\nsubject:x", why: "upper case, blank before the colon, no Date" },
  {
    header: "From: a@example.org\r\nTo: b@x.test\r\nTo: c@x.test\r\nReceived: r\r\nReceived: s",
    why: "repeated fields",
  },
  { header: "From: a@example.org\r\nSubject:", why: "an empty value" },
  { header: "From: a@example.org\r\nSubject: \r\n \r\n\tx", why: "a folded line of white space only" },
  { header: `From: a@example.org\r\nReferences: ${"<x@y> ".repeat(300)}`, why: "a long value" },
];

for (const { header, why } of HEADERS) {
  for (const ofHeader of CANONICALIZATIONS) {
    test(`header ${ofHeader}: ${why}`, async () => {
      assert.deepEqual(await verdicts(await signed(header, "x\r\n", { header: ofHeader })), ["pass", "pass"]);
    });
  }
}

const CHANGES = [
  { from: "bob@example.net", to: "eve@example.net", why: "a signed field" },
  { from: "x\r\n", to: "y\r\n", why: "the body" },
  { from: "From: Alice", to: "From: eve@evil.test\r\nFrom: Alice", why: "a second From (DKIM-03)" },
  { from: "From: Alice", to: "Cc: eve@evil.test\r\nFrom: Alice", why: "a field that was not there (oversigned)" },
  { from: "From: Alice", to: "Content-Type: text/html\r\nFrom: Alice", why: "a content type that was not there" },
];

for (const { from, to, why } of CHANGES) {
  test(`the signatures break when this is changed: ${why}`, async () => {
    const message = await signed(HEADER, "x\r\n");
    const at = message.lastIndexOf(from);
    const changed = message.slice(0, at) + to + message.slice(at + from.length);
    assert.notEqual(changed, message);
    assert.ok((await verdicts(changed)).every((verdict) => verdict !== "pass"));
  });
}

test("what the next hop adds does not break them, nor does new folding in relaxed form", async () => {
  const message = await signed(HEADER, "x\r\n");
  const folded = message.replace("To: bob", "To:\r\n bob");
  assert.deepEqual(await verdicts(`Received: by mx\r\n${folded}`), ["pass", "pass"]);
});

const letters = fc.constantFrom("a", "b", " ", "\t", "\r\n", "\r\n\r\n", "\r", "\0", "\xff", ".", "  ");

test("property: every message verifies, whatever its bytes and however it came (DKIM-04)", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(letters, { maxLength: 60 }).map((parts) => parts.join("")),
      fc.array(fc.constantFrom("x", " ", "\t", "\r\n ", "\r\n\t", "\xfc", ":", "="), { maxLength: 20 }),
      fc.constantFrom(...CANONICALIZATIONS),
      fc.constantFrom(...CANONICALIZATIONS),
      async (body, value, header, ofBody) => {
        assert.equal(hashOf(body, ofBody, 1), hashOf(body, ofBody), "one byte at a time");
        const fields = `From: a@example.org\r\nSubject: s${value.join("")}e`;
        const message = await signed(fields, body, { header, body: ofBody, algorithms: ["ed25519-sha256"] });
        assert.deepEqual(await verdicts(message), ["pass"]);
      },
    ),
    { numRuns: 300 },
  );
});

test("a body of 50 MiB is hashed as it streams", () => {
  const piece = Buffer.from("0123456789 abcdef \r\n".repeat(3277)); // no multiple of any buffer
  const hash = new BodyHash("relaxed");
  const expected = createHash("sha256");
  const canonical = Buffer.from(piece.toString("latin1").replaceAll(" \r\n", "\r\n"), "latin1");
  for (let bytes = 0; bytes < 50 * 1024 * 1024; bytes += piece.length) {
    hash.update(piece);
    expected.update(canonical);
  }
  assert.equal(hash.digest(), expected.digest("base64"));
});

test("the field is folded (MSG-01), has times, no l=, and never signs trace fields", async () => {
  const options = { header: "relaxed", body: "relaxed", bodyHash: hashOf("", "relaxed"), nowMs: NOW } as const;
  const fields = [...fieldsOf(`Received: x\r\nReturn-Path: <>\r\nAuthentication-Results: y\r\n${HEADER}`)];
  const field = await signMessage(fields, keyOf("rsa-sha256"), { ...options, lifetimeS: 3600 });
  assert.ok(field.split("\r\n").every((line) => line.length <= 78));
  assert.match(field, /; t=1795478400; x=1795482000;/);
  assert.doesNotMatch(field, /\bl=/);
  assert.deepEqual(
    signedNames(fields).filter((name) => /received|return|auth/.test(name)),
    [],
  );
  assert.deepEqual(signedNames(fields).filter((name) => name === "from").length, 2);
});

test("what one click unsubscribes is signed (DKIM-08)", () => {
  const names = signedNames(
    fieldsOf("List-Unsubscribe: <https://x.test/>\r\nList-Unsubscribe-Post: a\r\nFeedback-ID: b"),
  );
  for (const name of ["list-unsubscribe", "list-unsubscribe-post", "feedback-id"])
    assert.ok(names.includes(name), name);
});

test("of fields with one name the last is hashed first; one that is missing is nothing", () => {
  const fields = fieldsOf("To: 1\r\nTo: 2");
  assert.equal(hashedFields(["to", "to", "to", "cc"], fields, "relaxed"), "to:2\r\nto:1\r\n");
  assert.equal(canonicalField("A \t: b \r\n\t c ", "relaxed"), "a:b c");
});

const BAD_KEYS = [
  { pem: "", why: /no private key/ },
  { pem: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", why: /no private key/ },
  {
    pem: "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n-----END PRIVATE KEY-----\n",
    why: /type ec: DKIM knows rsa and ed25519/,
  },
];

for (const { pem, why } of BAD_KEYS) {
  test(`a key that cannot sign is refused: ${why}`, () => {
    const parsed = parseKey(Buffer.from(pem));
    assert.ok("problem" in parsed);
    assert.match(parsed.problem, why);
  });
}

test("a zone line has strings of at most 255 octets", () => {
  const line = zoneLine("s._domainkey.example.org", publicRecord(keyOf("rsa-sha256")));
  const strings = [...line.matchAll(/"([^"]*)"/g)].map((m) => m[1] ?? "");
  assert.ok(strings.length > 1 && strings.every((text) => text.length <= 255));
  assert.equal(strings.join(""), publicRecord(keyOf("rsa-sha256")));
});
