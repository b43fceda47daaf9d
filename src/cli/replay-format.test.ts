/** cli/replay-format.test.ts: a replay as it is told: within 100 columns, control characters shown, colour only where wanted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordedDecision } from "../decisions/decision.ts";
import type { Outcome, Replay } from "../master/replay.ts";
import { formatReplay } from "./replay-format.ts";

const DECISION: RecordedDecision = {
  at: 1,
  service: "submission",
  stage: "rcpt",
  client: { address: "192.0.2.1", name: "unknown", reverseName: "unknown", nameStatus: "missing" },
  sender: `${"x".repeat(150)}@example.net`,
  recipient: "a\u001b[31mb@example.org",
  result: "accepted",
  code: 250,
};

function outcome(result: Outcome["result"], ...effects: readonly string[]): Outcome {
  const reply = [result === "accepted" ? "250 2.1.5 Ok" : "550 5.7.1 no"];
  return { result, decided: result, effects, unasked: [], act: { line: "RCPT TO:<a>", explanation: undefined, reply } };
}

const REPLAY: Replay = {
  total: 7,
  same: 1,
  groups: [
    {
      service: "submission",
      count: 2,
      examples: [
        {
          decision: DECISION,
          before: outcome("accepted", "hold", `filter smtp:[${"a".repeat(90)}.example.net]:10025`),
          after: outcome("rejected"),
        },
      ],
    },
  ],
  undecided: { count: 2, rules: new Map([["reject_rbl_client zen.example", 2]]) },
  without: { before: new Map([["old", 1]]), after: new Map([["new", 1]]) },
  drifted: 3,
};

test("formatReplay() keeps to 100 columns and shows no control character", () => {
  const text = formatReplay(REPLAY, { colours: false });
  for (const line of text.split("\n")) assert.ok(line.length <= 100, line);
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f]/);
  for (const said of [
    "7 replayed: 2 would come out differently, 1 the same, 2 undecided\n",
    "2 at submission: accepted, hold, filter",
    "reject_rbl_client zen.example (2); --ask asks\n",
    "1 came to a service that the new configuration does not have: new\n",
    "1 came to a service that the configuration in use does not have: old\n",
    "3 were decided otherwise when they happened",
  ])
    assert.ok(text.includes(said), `${said}\n${text}`);
});

test("formatReplay() colours results on a terminal", () => {
  assert.match(
    formatReplay(REPLAY, { colours: true }),
    /\x1b\[1;32maccepted\x1b\[0m, hold[\s\S]*-> \x1b\[1;31mrejected\x1b\[0m\n/,
  );
});
