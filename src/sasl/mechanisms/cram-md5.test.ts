import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { begin, memoryPasswords, talk } from "../testdata/memory-passwords.ts";
import { cramMd5 } from "./cram-md5.ts";

const CHALLENGE = "<1896.697170952@postoffice.reston.mci.net>";
const DIGEST = "b913a602c7eda7a495b4e6e7334d3890";
const DENIED = "535 authentication failure";
const passwords = memoryPasswords(new Map([["tim", "tanstaaftanstaaf"]]));
const mechanism = cramMd5(CHALLENGE);

const cases = [
  { in: `tim ${DIGEST}`, want: "235 CRAM-MD5 tim", why: "vector of RFC 2195 §2 (SASL-20)" },
  { in: `tim ${DIGEST.replace("b", "c")}`, want: `${DENIED} [tim]`, why: "wrong digest" },
  { in: `tom ${DIGEST}`, want: `${DENIED} [tom]`, why: "unknown user" },
  { in: `tim ${DIGEST.toUpperCase()}`, want: DENIED, why: "digits are lower case" },
  { in: `tim ${DIGEST}\r\n`, want: DENIED, why: "something after the digest" },
  { in: `tim  ${DIGEST}`, want: `${DENIED} [tim ]`, why: "the name ends at the last blank" },
  { in: `tim${DIGEST}`, want: DENIED, why: "no blank" },
  { in: ` ${DIGEST}`, want: DENIED, why: "no name" },
  { in: "", want: DENIED, why: "nothing" },
];
for (const c of cases) {
  test(`cramMd5() ${c.why}`, async () => {
    assert.deepEqual(await talk(begin(mechanism, passwords), [undefined, c.in]), [`334 ${CHALLENGE}`, c.want]);
  });
}

test("cramMd5() fails an initial response, as the server speaks first (AUTH-07)", async () => {
  assert.deepEqual(await talk(begin(mechanism, passwords), [`tim ${DIGEST}`]), [DENIED]);
});

test("cramMd5() refuses an answer to another challenge", async () => {
  const other = cramMd5("<1.2@example.org>");
  assert.deepEqual((await talk(begin(other, passwords), [undefined, `tim ${DIGEST}`])).at(-1), `${DENIED} [tim]`);
});

test("cramMd5() neither throws nor succeeds on arbitrary bytes", async () => {
  const digest = fc.stringMatching(/^[0-9a-f]{32}$/).map((hex) => Buffer.from(`tim ${hex}`));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 64 }), digest), async (bytes) => {
      const steps = await talk(begin(mechanism, passwords), [undefined, bytes]);
      assert.ok(steps.at(-1)?.startsWith(DENIED), steps.join());
    }),
  );
});
