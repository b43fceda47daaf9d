import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFields } from "./header-block.ts";
import { leaveTunnel } from "./tunnelled-priority.ts";

/** May use up to 4; 9 cannot be looked up now. */
const grant = async (asked: number) => (asked === 9 ? undefined : Math.min(asked, 4));

async function leave(header: string, given = false) {
  const { fields, priority } = await leaveTunnel(parseFields(Buffer.from(header), 1000), { given, grant });
  return { left: fields.map(({ name }) => name).join(" "), priority };
}

const rows: readonly { header: string; given?: true; want: number | undefined | "unknown"; why: string }[] = [
  { header: "Subject: x\r\nMT-Priority: 3\r\n", want: 3, why: "its word" },
  { header: "mt-priority:\r\n -2\r\nSubject: x\r\n", want: -2, why: "folded, in any case" },
  { header: "Subject: x\r\nMT-Priority: 0 (as ever)\r\n", want: 0, why: "with a comment" },
  { header: "Subject: x\r\nMT-Priority: 8\r\n", want: 4, why: "PRI-02: no more than the client may" },
  { header: "Subject: x\r\nMT-Priority: 9\r\n", want: "unknown", why: "PRI-02: nobody knows what it may" },
  { header: "Subject: x\r\nMT-Priority: 9\r\n", given: true, want: undefined, why: "MAIL has said it" },
  { header: "MT-Priority: 3\r\nSubject: x\r\nMT-Priority: 3\r\n", want: 3, why: "twice the same" },
  { header: "MT-Priority: 3\r\nSubject: x\r\nMT-Priority: 2\r\n", want: undefined, why: "two that do not agree" },
  {
    header: "MT-Priority: high\r\nSubject: x\r\nMT-Priority: 2\r\n",
    want: undefined,
    why: "two, one of them nonsense",
  },
  { header: "Subject: x\r\nMT-Priority: 10\r\n", want: undefined, why: "too high" },
  { header: "Subject: x\r\nMT-Priority: +1\r\n", want: undefined, why: "a plus" },
  { header: "Subject: x\r\nMT-Priority: 03\r\n", want: undefined, why: "a leading zero" },
  { header: "Subject: x\r\nMT-Priority:\r\n", want: undefined, why: "empty" },
  { header: "Subject: x\r\nMT-Priority: 3 (a) (b)\r\n", want: undefined, why: "more than a comment" },
  { header: "Subject: x\r\n", want: undefined, why: "no such field" },
];
for (const { header, given, want, why } of rows) {
  test(`PRI-04: leaveTunnel() takes the field out: ${why}`, async () => {
    assert.deepEqual(await leave(header, given), { left: "subject", priority: want });
  });
}

test("PRI-04: leaveTunnel() lets no field pass, and grants no more than is granted, whatever stands in it", async () => {
  const text = fc.string({ unit: "grapheme-ascii" }).map((value) => value.replaceAll(/[\r\n]/g, " "));
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 3 }), async (values) => {
      const header = values.map((value) => `MT-Priority: ${value}\r\n`).join("");
      const { left, priority } = await leave(`Subject: x\r\n${header}`);
      return left === "subject" && (typeof priority !== "number" || (priority <= 4 && priority >= -9));
    }),
  );
});
