import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { begin, memoryPasswords, talk } from "../testdata/memory-passwords.ts";
import { plain } from "./plain.ts";

const long = "a".repeat(255);
const passwords = memoryPasswords(
  new Map([
    ["alice", "pencil"],
    ["bob", "pä"],
    ["IX", "pass word"],
    [long, long],
  ]),
);
const DENIED = "535 authentication failure";

const cases = [
  { in: "\0alice\0pencil", want: "235 PLAIN alice", why: "RFC 4616 §2" },
  { in: "alice\0alice\0pencil", want: "235 PLAIN alice", why: "SASL-04: authzid says the same" },
  { in: "bob\0alice\0pencil", want: `${DENIED} [alice]`, why: "SASL-04: authzid of somebody else" },
  { in: "\u00ad\0alice\0pencil", want: `${DENIED} [alice]`, why: "AUTH-21: authzid that prepares to nothing" },
  { in: "\0alice\0wrong", want: `${DENIED} [alice]`, why: "wrong password" },
  { in: "\0ghost\0pencil", want: `${DENIED} [ghost]`, why: "AUTH-14: unknown user, same text" },
  { in: "\0alice\0", want: `${DENIED} [alice]`, why: "SASL-03: empty password" },
  { in: "\0\0pencil", want: `${DENIED} []`, why: "SASL-03: empty authcid" },
  { in: "alice\0pencil", want: DENIED, why: "SASL-02: one NUL" },
  { in: "\0alice\0pencil\0", want: DENIED, why: "SASL-02: three NULs" },
  { in: "", want: DENIED, why: "AUTH-06: present but empty" },
  { in: `\0${long}\0${long}`, want: `235 PLAIN ${long}`, why: "SASL-01, LIM-16: 255 octets" },
  { in: `\0${long}\0${long}x`, want: `${DENIED} [${long}]`, why: "SASL-01: no truncation" },
  { in: "\0bob\0pa\u0308", want: "235 PLAIN bob", why: "SASLprep: composed and decomposed are the same" },
  { in: "\0I\u00adX\0pass\u00a0word", want: "235 PLAIN IX", why: "SASL-70: soft hyphen, no-break space" },
  { in: "\0alice\u0007\0pencil", want: `${DENIED} [alice\u0007]`, why: "prohibited character" },
];
for (const c of cases) {
  test(`plain() ${c.why}`, async () => {
    assert.deepEqual(await talk(begin(plain, passwords), [c.in]), [c.want]);
  });
}

test("plain() asks with an empty challenge when there is no initial response (AUTH-04)", async () => {
  assert.deepEqual(await talk(begin(plain, passwords), [undefined, "\0alice\0pencil"]), ["334 ", "235 PLAIN alice"]);
});

test("plain() takes no password in ISO 8859-1", async () => {
  const message = Buffer.from("\0bob\0pä", "latin1");
  assert.deepEqual(await talk(begin(plain, passwords), [message]), [DENIED]);
});

test("plain() passes on that nobody could judge", async () => {
  const broken = {
    ...passwords,
    verify: async () => ({ kind: "unavailable", reason: "user database is unavailable" }) as const,
  };
  assert.deepEqual(await talk(begin(plain, broken), ["\0alice\0pencil"]), ["454 user database is unavailable [alice]"]);
});

test("plain() neither throws nor succeeds on arbitrary bytes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      const [step = ""] = await talk(begin(plain, passwords), [bytes]);
      assert.ok(step.startsWith(DENIED), step);
    }),
  );
});

test("plain() never succeeds with another password", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme" }), async (password) => {
      fc.pre(password.normalize("NFKC").replaceAll("\u00ad", "") !== "pencil");
      const [step = ""] = await talk(begin(plain, passwords), [`\0alice\0${password}`]);
      assert.ok(step.startsWith(DENIED), step);
    }),
  );
});
