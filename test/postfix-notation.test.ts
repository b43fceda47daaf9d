/** The parts of the comparison with Postfix that need no Postfix: its notation, and that it finds a difference. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compare } from "./postfix/compare.ts";
import { parseDialogues } from "./postfix/dialogue-file.ts";

test("parseDialogues() sends pipelined lines before it waits for their replies", () => {
  const text = "service one\n  soft_bounce = yes\n## title\nP: A\nC: B {{3 x}}\nK:\n";
  const [service] = parseDialogues(text);
  assert.deepEqual(service?.settings, ["soft_bounce = yes"]);
  assert.deepEqual(
    service?.dialogues[0]?.steps.map((step) => (step.kind === "write" ? step.bytes.toString() : step.kind)),
    ["A\r\n", "B xxx\r\n", "reply", "reply", "closed"],
  );
});

test("parseDialogues() names the line it cannot read", () => {
  assert.throws(() => parseDialogues("service one\n## t\nC: A\nnonsense\n"), /line 4/);
});

test("compare() ignores queue ids and nothing else", () => {
  const held = (reply: string, line: string) => ({ said: [{ step: "C: .", reply }], log: ["connect", line] });
  const options = { allowed: [], where: "x" };
  const postfix = held("250 2.0.0 Ok: queued as 2A1B72362BB", "2A1B72362BB: client=x");
  const same = held("250 2.0.0 Ok: queued as 2776E6B05820E00", "2776E6B05820E00: client=x");
  assert.deepEqual(compare(postfix, same, options), []);
  const other = held("250 2.0.0 OK: queued as 2776E6B05820E00", "2776E6B05820E00: client=y");
  assert.deepEqual(
    compare(postfix, other, options).map(({ kind }) => kind),
    ["reply", "log"],
  );
});
