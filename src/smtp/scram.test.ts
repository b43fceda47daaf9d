import assert from "node:assert/strict";
import { test } from "node:test";
import { SaslRefusal } from "./sasl-client.ts";
import { type ScramHash, scram } from "./scram.ts";

/** The examples of RFC 5802 §5 and RFC 7677 §3. */
const EXAMPLES: readonly {
  hash: ScramHash;
  nonce: string;
  first: string;
  server: string;
  final: string;
  proof: string;
}[] = [
  {
    hash: "sha1",
    nonce: "fyko+d2lbbFgONRv9qkxdawL",
    first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    server: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    proof: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
  },
  {
    hash: "sha256",
    nonce: "rOprNGfwEbeRWgbNEkqO",
    first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    server: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    proof: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
  },
];
const PENCIL = { username: "user", password: "pencil" };

for (const example of EXAMPLES) {
  test(`scram() ${example.hash}: the example of its RFC`, async () => {
    const talk = scram(example.hash, PENCIL, example.nonce);
    assert.equal(String((await talk.next()).value), example.first);
    assert.equal(String((await talk.next(Buffer.from(example.server))).value), example.final);
    const last = await talk.next(Buffer.from(example.proof));
    assert.deepEqual([last.done, last.value], [false, Buffer.alloc(0)]);
    assert.equal((await talk.next(Buffer.alloc(0))).done, true);
  });

  test(`scram() ${example.hash}: a server with another proof is refused`, async () => {
    const talk = scram(example.hash, PENCIL, example.nonce);
    await talk.next();
    await talk.next(Buffer.from(example.server));
    await assert.rejects(talk.next(Buffer.from(example.proof.replace("r", "q"))), SaslRefusal);
  });
}

const BAD_CHALLENGES = [
  { in: "r=NONCE,s=QSXCR+Q6sek8bf92,i=4096", why: "our own nonce and nothing added" },
  { in: "r=other3rf,s=QSXCR+Q6sek8bf92,i=4096", why: "another nonce" },
  { in: "r=NONCEx,s=QSXCR+Q6sek8bf92,i=1", why: "too few iterations: the password could be guessed" },
  { in: "r=NONCEx,s=QSXCR+Q6sek8bf92,i=2000000000", why: "too many iterations: work for nothing" },
  { in: "m=x,r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096", why: "an extension that must be understood" },
  { in: "r=NONCEx,s=,i=4096", why: "no salt" },
  { in: "e=other-error", why: "an error" },
  { in: "", why: "nothing" },
  { in: "\xff", why: "no UTF-8" },
];
for (const c of BAD_CHALLENGES) {
  test(`scram() ${c.why}: refused`, async () => {
    const talk = scram("sha256", PENCIL, "NONCE");
    await talk.next();
    await assert.rejects(talk.next(Buffer.from(c.in, "latin1")), SaslRefusal);
  });
}

test("scram() writes = and , of a user name as RFC 5802 §5.1 says", async () => {
  const talk = scram("sha256", { username: "a=b,c", password: "x" }, "N");
  assert.equal(String((await talk.next()).value), "n,,n=a=3Db=2Cc,r=N");
});
