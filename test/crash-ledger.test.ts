/** The judge of the crash tests: it must see what a broken server would do, or `npm run test:crash` proves nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attempt, Ledger } from "./crash/ledger.ts";

interface Happening {
  readonly atMs: number;
  readonly what: "arrives" | "struck";
  readonly to?: string;
  readonly torn?: string;
}

interface Case {
  readonly why: string;
  readonly attempt?: Partial<Pick<Attempt, "taken" | "reportTo" | "accepted" | "removal" | "held">>;
  readonly happens?: readonly Happening[];
  /** lost, doubled inside the window, outside. */
  readonly want: readonly [number, number, number];
}

const arrives = (atMs: number, to = "a", torn?: string): Happening => ({
  atMs,
  what: "arrives",
  to,
  ...(torn !== undefined && { torn }),
});
const struck = (atMs: number): Happening => ({ atMs, what: "struck" });

const CASES: readonly Case[] = [
  { why: "accepted, arrived", happens: [arrives(1)], want: [0, 0, 0] },
  { why: "accepted, never came", want: [1, 0, 0] },
  { why: "one of two recipients never got it", attempt: { taken: ["a", "b"] }, happens: [arrives(1)], want: [1, 0, 0] },
  { why: "not accepted, never came", attempt: { accepted: false }, want: [0, 0, 0] },
  {
    why: "not accepted, came once: the 250 was lost",
    attempt: { accepted: false },
    happens: [arrives(1)],
    want: [0, 0, 0],
  },
  {
    why: "not accepted, came twice",
    attempt: { accepted: false },
    happens: [arrives(1), arrives(2)],
    want: [0, 0, 1],
  },
  { why: "twice, without a strike", happens: [arrives(1), arrives(2)], want: [0, 0, 1] },
  { why: "twice, struck between", happens: [arrives(1), struck(2), arrives(3)], want: [0, 1, 0] },
  { why: "twice, struck before both", happens: [struck(1), arrives(500), arrives(900)], want: [0, 0, 1] },
  { why: "twice, struck after both", happens: [arrives(1), arrives(2), struck(500)], want: [0, 0, 1] },
  { why: "twice, struck long after the first", happens: [arrives(1), struck(5000), arrives(6000)], want: [0, 0, 1] },
  { why: "three times, struck once", happens: [arrives(1), struck(2), arrives(3), arrives(400)], want: [0, 1, 1] },
  {
    why: "each recipient once",
    attempt: { taken: ["a", "b"] },
    happens: [arrives(1), arrives(2, "b")],
    want: [0, 0, 0],
  },
  { why: "came to a stranger", happens: [arrives(1), arrives(2, "z")], want: [0, 0, 1] },
  { why: "not what was sent", happens: [arrives(1, "a", "short")], want: [0, 0, 1] },
  { why: "refused, no report", attempt: { taken: [], reportTo: "me" }, want: [1, 0, 0] },
  { why: "refused, a report", attempt: { taken: [], reportTo: "me" }, happens: [arrives(1, "me")], want: [0, 0, 0] },
  {
    why: "refused, two reports",
    attempt: { taken: [], reportTo: "me" },
    happens: [arrives(1, "me"), arrives(2, "me")],
    want: [0, 0, 1],
  },
  { why: "removed", attempt: { removal: "done" }, want: [0, 0, 0] },
  { why: "removed, and came", attempt: { removal: "done" }, happens: [arrives(1)], want: [0, 0, 1] },
  { why: "removal not confirmed, and came", attempt: { removal: "asked" }, happens: [arrives(1)], want: [0, 0, 0] },
  {
    why: "came while it was held",
    attempt: { held: [{ fromMs: 1, toMs: 9 }] },
    happens: [arrives(5)],
    want: [0, 0, 1],
  },
  {
    why: "came after its release",
    attempt: { held: [{ fromMs: 1, toMs: 9 }] },
    happens: [arrives(10)],
    want: [0, 0, 0],
  },
];

for (const { why, attempt: given = {}, happens = [], want } of CASES) {
  test(`${why}: ${want.join(" ")}`, () => {
    let nowMs = 0;
    const ledger = new Ledger(() => nowMs);
    const { accepted = true, removal = "none", held = [], taken = ["a"], reportTo } = given;
    const attempt = ledger.begin({ id: "m", taken, reportTo });
    Object.assign(attempt, { accepted, removal });
    attempt.held.push(...held);
    for (const { atMs, what, to = "", torn } of happens) {
      nowMs = atMs;
      if (what === "struck") ledger.struck();
      else ledger.arrived({ id: "m", recipient: to, torn });
    }
    const { lost, inside, outside, faults } = ledger.judge();
    assert.deepEqual([lost, inside, outside], want, faults.join("; "));
    assert.equal(faults.length > 0, lost + outside > 0, "what is wrong is told");
    assert.deepEqual(ledger.judge(), { lost: 0, inside: 0, outside: 0, accepted: 0, faults: [] }, "and forgotten");
  });
}
