import assert from "node:assert/strict";
import { test } from "node:test";
import { comparePublished } from "./published.ts";

const WANTED = "v=DKIM1; k=rsa; p=ABC";

const CASES = [
  { texts: [WANTED], kind: "right", why: "as made" },
  { texts: ["p=A B C"], kind: "right", why: "all but p= may be missing, white space does not count" },
  { texts: ["spf", WANTED], kind: "right", why: "another TXT record is no key" },
  { texts: ["k=rsa; h=sha1:sha256; p=ABC"], kind: "right", why: "sha256 is among the hashes" },
  { texts: [], kind: "missing", why: "nothing" },
  { texts: ["v=spf1 -all"], kind: "missing", why: "no key" },
  { texts: ["v=DKIM1; p="], kind: "wrong", why: "revoked (RFC 6376 §3.6.1)" },
  { texts: ["v=DKIM1; p=ABD"], kind: "wrong", why: "another key" },
  { texts: ["k=ed25519; p=ABC"], kind: "wrong", why: "another type" },
  { texts: ["v=DKIM2; p=ABC"], kind: "wrong", why: "another version" },
  { texts: ["h=sha1; p=ABC"], kind: "wrong", why: "the hash is not allowed" },
  { texts: ["t=y; p=ABC"], kind: "wrong", why: "verifiers treat it as unsigned" },
  { texts: [WANTED, WANTED], kind: "wrong", why: "two records: undefined result (§3.6.2.2)" },
];

for (const { texts, kind, why } of CASES) {
  test(`comparePublished() ${JSON.stringify(texts)}: ${kind}: ${why}`, () => {
    assert.equal(comparePublished(texts, WANTED).kind, kind);
  });
}
