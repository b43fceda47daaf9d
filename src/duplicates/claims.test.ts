import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BUSY, type ClaimRequest, NEW } from "./claim.ts";
import { Claims } from "./claims.ts";
import { MessageKey } from "./message-key.ts";

const KEY = "k".repeat(24);
const WINDOW = 600_000;

function setup({ limit = 100 } = {}) {
  const clock = { nowMs: 1_795_500_000_000, now: () => clock.nowMs };
  const warnings: string[] = [];
  const make = () => new Claims({ clock, limit, warn: (text) => warnings.push(text) });
  return { clock, warnings, make, claims: make() };
}

/** `who what id`, or a pause in seconds, or the end of a worker; and the answer to each ask. */
const STORIES: readonly {
  readonly steps: readonly string[];
  readonly want: readonly string[];
  readonly why: string;
}[] = [
  { steps: ["a ask A", "a kept A", "b ask B"], want: [NEW, "A"], why: "sent again: the first one's id, at any worker" },
  { steps: ["a ask A", "a kept A", "a read A", "b ask B"], want: [NEW, NEW], why: "the reply was read: it is meant" },
  { steps: ["a ask A", "a gone A", "b ask B"], want: [NEW, NEW], why: "the first one was refused" },
  {
    steps: ["a ask A", "b ask B", "a kept A", "b ask B"],
    want: [NEW, BUSY, "A"],
    why: "while it is being queued: wait",
  },
  { steps: ["a ask A", "b ask B", "a gone A", "b ask B"], want: [NEW, BUSY, NEW], why: "until it is refused" },
  { steps: ["a ask A", "a kept A", "599", "b ask B"], want: [NEW, "A"], why: "within the window" },
  { steps: ["a ask A", "a kept A", "600", "b ask B"], want: [NEW, NEW], why: "after the window" },
  {
    steps: ["a ask A", "a kept A", "b ask B", "b read A", "c ask C"],
    want: [NEW, "A", NEW],
    why: "the second reply was read",
  },
  {
    steps: ["a ask A", "a kept A", "600", "b ask B", "b kept B", "a read A", "c ask C"],
    want: [NEW, NEW, "B"],
    why: "what is said of one that is forgotten touches no other",
  },
  { steps: ["a ask A", "a ends", "b ask B"], want: [NEW, BUSY], why: "its worker ended: the queue must tell" },
  { steps: ["a ask A", "a ends", "in A", "b ask B"], want: [NEW, BUSY.replace(BUSY, "A")], why: "it is there" },
  { steps: ["a ask A", "a ends", "in X", "b ask B"], want: [NEW, NEW], why: "it is not" },
  { steps: ["a ask A", "a kept A", "a ends", "b ask B"], want: [NEW, "A"], why: "what was kept needs no worker" },
];

/** With a restart of the master behind each step, at which no worker goes on. */
function play(steps: readonly string[], restarts: boolean): readonly string[] {
  const { clock, make } = setup();
  const holders: Record<string, object> = { a: {}, b: {}, c: {} };
  const answers: string[] = [];
  let claims = make();
  let journal = "";
  for (const step of steps) {
    const [who = "", what = "", id = ""] = step.split(" ");
    if (/^\d+$/.test(step)) clock.nowMs += Number(step) * 1000;
    else if (who === "in") claims.settle(claims.orphans, new Set([what]));
    else if (what === "ends") claims.drop(holders[who] ?? {});
    else {
      const request = [what, KEY, id, ...(what === "ask" ? [WINDOW] : [])] as unknown as ClaimRequest;
      const answer = claims.answer(holders[who] ?? {}, request);
      if (what === "ask") answers.push(answer);
    }
    journal += claims.takeLines();
    if (!restarts) continue;
    claims = make();
    claims.load(journal);
  }
  return answers;
}

for (const { steps, want, why } of STORIES) {
  test(`Claims ${why}: ${steps.join(", ")}`, () => assert.deepEqual(play(steps, false), want));
  test(`Claims, the master killed after each step: ${why}`, () => assert.deepEqual(play(steps, true), want));
}

test("Claims remember the newest, and say once that others are forgotten", () => {
  const { claims, warnings } = setup({ limit: 3 });
  for (let i = 0; i < 10; i++) {
    const key = String(i).padStart(24, "k");
    claims.answer({}, ["ask", key, `Q${i}`, WINDOW]);
    claims.answer({}, ["kept", key, `Q${i}`]);
  }
  assert.equal(claims.size, 3);
  assert.equal(warnings.length, 1);
  assert.equal(claims.answer({}, ["ask", "9".padStart(24, "k"), "Q", WINDOW]), "Q9");
});

test("Claims: all lines say what the journal says; a line that was cut off, and rubbish, is passed over", () => {
  const { claims, make } = setup();
  const letters = ["a", "b", "c"].map((letter) => letter.repeat(24));
  for (const key of letters) claims.answer({}, ["ask", key, "Q", WINDOW]);
  claims.answer({}, ["kept", letters[0] ?? "", "Q"]);
  claims.answer({}, ["gone", letters[1] ?? "", "Q"]);
  const journal = claims.takeLines();
  for (const text of [journal, claims.allLines()]) {
    const again = make();
    again.load(`rubbish\n${text}+${"d".repeat(24)} Q 6000`);
    assert.equal(again.size, 2);
    assert.equal(again.answer({}, ["ask", letters[0] ?? "", "N", WINDOW]), "Q");
    assert.equal(again.answer({}, ["ask", letters[1] ?? "", "N", WINDOW]), NEW);
    assert.equal(again.answer({}, ["ask", letters[2] ?? "", "N", WINDOW]), BUSY);
  }
});

const SAME = { identity: "login a", sender: "a@x.test", recipients: ["b@x.test", "c@x.test"] };

test("MessageKey: any segmentation of the content gives one key", () => {
  const keyOf = (pieces: readonly Uint8Array[]) => {
    const key = new MessageKey(SAME);
    for (const piece of pieces) key.update(piece);
    return key.digest();
  };
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (pieces) => assert.equal(keyOf(pieces), keyOf([Buffer.concat(pieces)]))),
  );
});

const OTHERS = [
  { change: {}, content: "x", same: true, why: "the same" },
  { change: { recipients: ["c@x.test", "b@x.test"] }, content: "x", same: true, why: "recipients in another order" },
  { change: { recipients: ["b@x.test"] }, content: "x", same: false, why: "fewer recipients" },
  { change: { identity: "login b" }, content: "x", same: false, why: "another login" },
  { change: { sender: "" }, content: "x", same: false, why: "another sender" },
  { change: {}, content: "y", same: false, why: "other content" },
];

for (const { change, content, same, why } of OTHERS) {
  test(`MessageKey: ${why}`, () => {
    const keys = [
      { envelope: SAME, text: "x" },
      { envelope: { ...SAME, ...change }, text: content },
    ].map(({ envelope, text }) => {
      const key = new MessageKey(envelope);
      key.update(Buffer.from(text));
      return key.digest();
    });
    assert.match(keys[0] ?? "", /^[\w-]{24}$/);
    assert.equal(keys[0] === keys[1], same);
  });
}
