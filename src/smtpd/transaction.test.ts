import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../access/access.ts";
import { type Address, asAddress } from "../mail/address.ts";
import { softenedText } from "./soft-bounce.ts";
import { Transaction } from "./transaction.ts";

const START = { sender: asAddress("a@b.test"), smtputf8: false, body: "7BIT", declaredSize: undefined } as const;
const qualify = (address: Address) => (address.includes("@") ? address : asAddress(`${address}@here.test`));

for (const c of [
  { effects: [], want: "x@y.test, z@y.test", why: "nothing happens" },
  { effects: [["bcc", "log@y.test"]], want: "x@y.test, z@y.test, log@y.test", why: "BCC adds" },
  { effects: [["bcc", "X@Y.test"]], want: "x@y.test, z@y.test", why: "who is there is not added again" },
  {
    effects: [
      ["bcc", "l@y.test"],
      ["bcc", "L@y.test"],
    ],
    want: "x@y.test, z@y.test, l@y.test",
    why: "two BCC of one address",
  },
  {
    effects: [
      ["redirect", "one@y.test"],
      ["redirect", "two@y.test"],
      ["bcc", "l@y.test"],
    ],
    want: "two@y.test for x@y.test",
    why: "the last REDIRECT takes all, BCC too",
  },
] as const) {
  test(`Transaction.recipients() ${c.why}`, () => {
    const transaction = new Transaction({ ...START, saslSender: undefined });
    for (const address of ["x@y.test", "z@y.test"].map(asAddress)) {
      transaction.addRecipient({ address, original: address });
    }
    transaction.apply(c.effects.map(([kind, value]): Effect => ({ kind, value })));
    const shown = transaction
      .recipients(qualify)
      .map(({ address, original }) => (address === original ? address : `${address} for ${original}`));
    assert.equal(shown.join(", "), c.want);
    assert.equal(transaction.accepted.length, 2);
  });
}

for (const [text, want] of [
  ["550 5.7.1 no", "450 4.7.1 no"],
  ["521 no 5.7.1", "421 no 5.7.1"],
  ["450 4.7.1 later", "450 4.7.1 later"],
  ["554 5 apples", "454 5 apples"],
] as const) {
  test(`softenedText() ${text}`, () => assert.equal(softenedText(text), want));
}
