import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { begin, memoryPasswords, talk } from "../testdata/memory-passwords.ts";
import { login } from "./login.ts";

const passwords = memoryPasswords(
  new Map([
    ["alice", "pencil"],
    ["bob", "pä"],
  ]),
);
const DENIED = "535 authentication failure";
const ASK = ["334 Username:", "334 Password:"];
const latin1 = (text: string) => Buffer.from(text, "latin1");

const cases = [
  { in: [undefined, "alice", "pencil"], want: [...ASK, "235 LOGIN alice"], why: "SASL-10: the exact prompts" },
  {
    in: ["alice", "pencil"],
    want: ["334 Password:", "235 LOGIN alice"],
    why: "AUTH-07: initial response is the user name",
  },
  { in: [undefined, "alice", "wrong"], want: [...ASK, `${DENIED} [alice]`], why: "wrong password" },
  { in: [undefined, "ghost", "pencil"], want: [...ASK, `${DENIED} [ghost]`], why: "unknown user" },
  { in: [undefined, "alice", ""], want: [...ASK, `${DENIED} [alice]`], why: "SASL-03: empty password" },
  { in: ["", "pencil"], want: [`${DENIED} []`], why: "empty user name" },
  { in: ["bob", "pä"], want: ["334 Password:", "235 LOGIN bob"], why: "SASL-12: UTF-8" },
  { in: ["bob", latin1("pä")], want: ["334 Password:", "235 LOGIN bob"], why: "SASL-12: ISO 8859-1" },
  { in: ["bob", latin1("pö")], want: ["334 Password:", `${DENIED} [bob]`], why: "SASL-12: wrong in both" },
  { in: [latin1("bä"), "x"], want: [DENIED], why: "user name is not UTF-8" },
  { in: ["alice\0", "pencil"], want: [`${DENIED} [alice\0]`], why: "NUL in the user name" },
];
for (const c of cases) {
  test(`login() ${c.why}`, async () => {
    assert.deepEqual(await talk(begin(login, passwords), c.in), c.want);
  });
}

test("login() tries a password at most twice", async () => {
  let asked = 0;
  const counting = {
    ...passwords,
    async verify() {
      asked++;
      return { kind: "mismatch" } as const;
    },
  };
  await talk(begin(login, counting), ["bob", "pä"]);
  assert.equal(asked, 2);
  await talk(begin(login, counting), ["bob", "ascii"]);
  assert.equal(asked, 3);
});

test("login() neither throws nor succeeds on arbitrary bytes", async () => {
  const bytes = fc.uint8Array({ maxLength: 32 });
  await fc.assert(
    fc.asyncProperty(bytes, bytes, fc.boolean(), async (name, password, early) => {
      const known = fc.sample(fc.constantFrom(name, Buffer.from("alice")), 1)[0] ?? name;
      const steps = await talk(begin(login, passwords), early ? [known, password] : [undefined, known, password]);
      assert.ok(steps.at(-1)?.startsWith(DENIED), steps.join());
    }),
  );
});
