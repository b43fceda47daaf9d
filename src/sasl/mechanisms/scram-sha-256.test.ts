import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { begin, memoryPasswords, scramProof, talk } from "../testdata/memory-passwords.ts";
import { scramSha256 } from "./scram-sha-256.ts";

// The exchange of RFC 7677 §3.
const SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST = `r=rOprNGfwEbeRWgbNEkqO${SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const CLIENT_FINAL = `c=biws,r=rOprNGfwEbeRWgbNEkqO${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;
const SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

const DENIED = "535 authentication failure";
const passwords = memoryPasswords(
  new Map([
    ["user", "pencil"],
    ["a,b=c", "pencil"],
  ]),
);
const mechanism = scramSha256(SERVER_NONCE);
const run = (responses: readonly (string | Uint8Array | undefined)[]) => talk(begin(mechanism, passwords), responses);
const base64 = (text: string) => Buffer.from(text).toString("base64");

test("scramSha256() follows the vector of RFC 7677, server-final as a challenge (SASL-30, SASL-36)", async () => {
  const steps = await run([CLIENT_FIRST, CLIENT_FINAL, ""]);
  assert.deepEqual(steps, [`334 ${SERVER_FIRST}`, `334 ${SERVER_FINAL}`, "235 SCRAM-SHA-256 user"]);
});

test("scramSha256() asks with an empty challenge when there is no initial response", async () => {
  assert.equal((await run([undefined, CLIENT_FIRST, CLIENT_FINAL, ""])).at(-1), "235 SCRAM-SHA-256 user");
});

test("scramSha256() wants nothing after server-final", async () => {
  assert.equal((await run([CLIENT_FIRST, CLIENT_FINAL, "x"])).at(-1), `${DENIED} [user]`);
});

const firsts = [
  { in: "y,,n=user,r=abc", good: true, why: "SASL-32: flag y while no PLUS is announced" },
  { in: "n,a=user,n=user,r=abc", good: true, why: "authzid says the same" },
  { in: "n,a=root,n=user,r=abc", good: false, why: "authzid of somebody else" },
  { in: "n,a=,n=user,r=abc", good: false, why: "empty authzid is not allowed by the grammar" },
  { in: "n,,n=user,r=abc,z=ext", good: true, why: "SASL-34: unknown extension" },
  { in: "n,,m=x,n=user,r=abc", good: false, why: "SASL-34: mandatory extension" },
  { in: "p=tls-unique,,n=user,r=abc", good: false, why: "SASL-33: channel binding" },
  { in: "x,,n=user,r=abc", good: false, why: "SASL-31: unknown flag" },
  { in: ",,n=user,r=abc", good: false, why: "SASL-31: no flag" },
  { in: "n,,n=us=er,r=abc", good: false, why: "SASL-34: bare = in the name" },
  { in: "n,,n=us=2cer,r=abc", good: false, why: "SASL-34: lower case escape" },
  { in: "n,,n=,r=abc", good: false, why: "empty name" },
  { in: "n,,n=\u00ad,r=abc", good: false, why: "name that prepares to nothing" },
  { in: "n,,n=us\u0000er,r=abc", good: false, why: "NUL" },
  { in: "n,,n=user,r=", good: false, why: "empty nonce" },
  { in: "n,,n=user,r=a b", good: false, why: "blank in the nonce" },
  { in: "n,,n=user", good: false, why: "no nonce" },
  { in: "n,,r=abc,n=user", good: false, why: "wrong order" },
  { in: "n,,n=user,r=abc\n", good: false, why: "line end" },
  { in: "", good: false, why: "empty" },
];
for (const c of firsts) {
  test(`scramSha256() client-first, ${c.why}: ${JSON.stringify(c.in)}`, async () => {
    const exchange = begin(mechanism, passwords);
    const [first = ""] = await talk(exchange, [c.in]);
    if (!c.good) return assert.equal(first, DENIED);
    const [, header = "", bare = ""] = /^(.,[^,]*,)(.*)$/.exec(c.in) ?? [];
    const final = scramProof("pencil", bare, first.slice(4), { binding: base64(header) });
    assert.equal((await talk(exchange, [final, ""])).at(-1), "235 SCRAM-SHA-256 user");
  });
}

test("scramSha256() unescapes =2C and =3D in the name", async () => {
  const exchange = begin(mechanism, passwords);
  const [first = ""] = await talk(exchange, ["n,,n=a=2Cb=3Dc,r=abc"]);
  const final = scramProof("pencil", "n=a=2Cb=3Dc,r=abc", first.slice(4));
  assert.equal((await talk(exchange, [final, ""])).at(-1), "235 SCRAM-SHA-256 a,b=c");
});

const finals = [
  { in: CLIENT_FINAL.replace("biws", "eSws"), why: "SASL-31: another GS2 header than at first" },
  { in: CLIENT_FINAL.replace("rOpr", "sOpr"), why: "SASL-35: another nonce" },
  { in: CLIENT_FINAL.replace(SERVER_NONCE, ""), why: "SASL-35: the client's nonce alone" },
  { in: CLIENT_FINAL.replace("p=dH", "p=dI"), why: "wrong proof" },
  { in: CLIENT_FINAL.replace(/p=.*/, "p=AAAA"), why: "short proof" },
  { in: CLIENT_FINAL.replace(/,p=.*/, ""), why: "no proof" },
  { in: CLIENT_FINAL.replace("c=biws,", ""), why: "no channel binding" },
  { in: `${CLIENT_FINAL},z=1`, why: "something after the proof" },
  { in: "", why: "empty" },
];
for (const c of finals) {
  test(`scramSha256() client-final, ${c.why}`, async () => {
    assert.deepEqual(await run([CLIENT_FIRST, c.in]), [`334 ${SERVER_FIRST}`, `${DENIED} [user]`]);
  });
}

test("scramSha256() verifies the echoed GS2 header, not only the proof over it (SASL-31)", async () => {
  const exchange = begin(mechanism, passwords);
  const [first = ""] = await talk(exchange, ["n,,n=user,r=abc"]);
  const final = scramProof("pencil", "n=user,r=abc", first.slice(4), { binding: base64("y,,") });
  assert.deepEqual(await talk(exchange, [final]), [`${DENIED} [user]`]);
});

test("scramSha256() fails an unknown user at the proof, even with the right one (SASL-37)", async () => {
  const exchange = begin(mechanism, passwords);
  const [first = ""] = await talk(exchange, ["n,,n=ghost,r=abc"]);
  assert.match(first, /^334 r=abc.*,s=.{24},i=4096$/);
  const final = scramProof("nobody knows this", "n=ghost,r=abc", first.slice(4));
  assert.deepEqual(await talk(exchange, [final]), [`${DENIED} [ghost]`]);
});

test("scramSha256() neither throws nor succeeds on arbitrary bytes", async () => {
  const bytes = fc.uint8Array({ maxLength: 80 });
  await fc.assert(
    fc.asyncProperty(fc.oneof(bytes, fc.constant(Buffer.from(CLIENT_FIRST))), bytes, async (first, final) => {
      const steps = await run([first, final, ""]);
      assert.ok(steps.at(-1)?.startsWith(DENIED), steps.join());
    }),
  );
});

test("scramSha256() never succeeds after a change of one byte of client-final", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(CLIENT_FINAL.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const changed = Buffer.from(CLIENT_FINAL);
      changed[at] = (changed[at] ?? 0) ^ mask;
      const steps = await run([CLIENT_FIRST, changed, ""]);
      // The last digit of base64 holds two bits that mean nothing: the same proof may be spelt in four ways.
      fc.pre(!Buffer.from(changed.toString().split(",p=")[1] ?? "", "base64").equals(PROOF) || at < PROOF_AT);
      assert.ok(steps.at(-1)?.startsWith(DENIED), steps.join());
    }),
  );
});
const PROOF_AT = CLIENT_FINAL.indexOf(",p=") + 3;
const PROOF = Buffer.from(CLIENT_FINAL.slice(PROOF_AT), "base64");
