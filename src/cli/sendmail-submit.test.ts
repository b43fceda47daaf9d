/** A program may write its message in pieces of any size: what is submitted is the same. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseSendmailOptions } from "./sendmail-options.ts";
import { submit } from "./sendmail-submit.ts";

/** The file in the maildrop directory. */
async function submitted(t: TestContext, pieces: readonly string[]): Promise<string> {
  const maildrop = mkdtempSync(join(tmpdir(), "submit-"));
  t.after(() => rmSync(maildrop, { recursive: true }));
  await submit(parseSendmailOptions(["-t", "-f", "al@x.test"]), {
    ...{ user: { uid: 1, name: "al" }, fullName: undefined, maildrop, sizeLimit: 0, fieldLimit: 1000 },
    input: (async function* () {
      for (const piece of pieces) yield Buffer.from(piece, "latin1");
    })(),
    warn: assert.fail,
  });
  const [name = ""] = readdirSync(maildrop);
  return readFileSync(join(maildrop, name), "latin1");
}

const HEAD = 'postern-maildrop 1 {"sender":"al@x.test","recipients":["b@x.test"]}\n';
const messages = [
  { in: "To: b@x.test\n\nbody\n.\nno\n", want: "To: b@x.test\n\nbody\n", why: "a dot ends it" },
  { in: "From a Mon\n>From b\nTo: b@x.test\n\nx", want: "To: b@x.test\n\nx", why: "mailbox lines are no part of it" },
  { in: "To: b@x.test\nFrom c\n", want: "To: b@x.test\nFrom c\n", why: "a header without end" },
];
for (const { in: input, want, why } of messages) {
  test(`submit() ${why}`, async (t) => {
    assert.equal(await submitted(t, [input]), HEAD + want);
    assert.equal(await submitted(t, [...input]), HEAD + want);
  });
}
