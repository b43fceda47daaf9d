/** proof/compare.test.ts: which changes of a matrix are told, and which of them first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareProofs, loudestFirst } from "./compare.ts";
import type { Cell } from "./prove.ts";
import type { ServiceProof } from "./service.ts";

/** "client/destination verdict" */
function proof(...cells: readonly string[]): ServiceProof {
  const at = { file: "master.cf", line: 1 };
  return { name: "smtp", at, submission: false, problems: [], trusted: [], unguarded: false, cells: cells.map(cellOf) };
}

function cellOf(text: string): Cell {
  const [client, destination, verdict] = text.split(/[/ ]/);
  return { client, destination, verdict, note: "", unseen: [], capped: false } as unknown as Cell;
}

const CASES = [
  { before: ["login/foreign always"], after: ["login/foreign always"], want: [], why: "the same" },
  {
    before: ["stranger/relay none"],
    after: ["stranger/relay never"],
    want: [],
    why: "nothing gets through, whether or not there is something to get to",
  },
  {
    before: ["stranger/foreign never", "login/foreign never", "stranger/local always"],
    after: ["stranger/foreign always", "login/foreign always", "stranger/local never"],
    want: ["stranger/foreign never always", "login/foreign never always", "stranger/local always never"],
    why: "strangers first, what closes last",
  },
  {
    before: ["stranger/local never", "stranger/foreign never", "strangerTls/named never"],
    after: ["stranger/local always", "stranger/foreign maybe", "strangerTls/named always"],
    want: ["stranger/foreign never maybe", "strangerTls/named never always", "stranger/local never always"],
    why: "foreign destinations before our own",
  },
  { before: undefined, after: ["login/foreign always"], want: ["login/foreign never always"], why: "a new service" },
  {
    before: ["login/foreign maybe"],
    after: undefined,
    want: ["login/foreign maybe never"],
    why: "a service that goes",
  },
];

for (const { before, after, want, why } of CASES) {
  test(`compareProofs() ${why}`, () => {
    const changes = compareProofs(before && proof(...before), after && proof(...after));
    const lines = loudestFirst(changes).map((c) => `${c.client}/${c.destination} ${c.before} ${c.after}`);
    assert.deepEqual(lines, want);
  });
}
