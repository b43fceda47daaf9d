/** bounce/notices.test.ts: who is told what: the table of RFC 3461 §5.2 and of Postfix's notify_classes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { NotifyCondition } from "../mail/dsn.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ReportKind } from "./delivery-status.ts";
import { planNotices } from "./notices.ts";

interface Row {
  readonly why: string;
  readonly kind: ReportKind;
  readonly sender?: string;
  readonly ret?: "FULL" | "HDRS";
  /** NOTIFY of r1, r2, …; undefined: not given. */
  readonly notify: readonly (readonly NotifyCondition[] | undefined)[];
  readonly classes?: readonly string[];
  /** `from>to label returned: recipients`. */
  readonly want: readonly string[];
  readonly remarks?: readonly string[];
}

const PLAIN = [undefined];
const DOUBLE = "double-bounce@mail.test";
const DROPPED = "undeliverable mail to <r1@far.test> dropped, NOTIFY=";

const ROWS: readonly Row[] = [
  {
    why: "DSN-22: a failure, nothing asked",
    kind: "failed",
    notify: PLAIN,
    want: [">s@b.test sender non-delivery message: r1"],
  },
  {
    why: "DSN-22: a failure, FAILURE asked",
    kind: "failed",
    notify: [["SUCCESS", "FAILURE"]],
    want: [">s@b.test sender non-delivery message: r1"],
  },
  {
    why: "sendmail -bv: whatever came of whom, and NOTIFY does not count",
    kind: "verify",
    notify: [["NEVER"], undefined],
    classes: ["bounce", "delay"],
    want: [">s@b.test sender delivery status headers: r1 r2"],
  },
  {
    why: "DSN-44: RET=HDRS",
    kind: "failed",
    ret: "HDRS",
    notify: PLAIN,
    want: [">s@b.test sender non-delivery headers: r1"],
  },
  { why: "DSN-23: NEVER", kind: "failed", notify: [["NEVER"]], want: [], remarks: [`${DROPPED}NEVER`] },
  {
    why: "DSN-27: without FAILURE",
    kind: "failed",
    notify: [["SUCCESS", "DELAY"]],
    want: [],
    remarks: [`${DROPPED}SUCCESS,DELAY`],
  },
  {
    why: "DSN-46: nothing about those who want none",
    kind: "failed",
    notify: [["NEVER"], undefined, ["FAILURE"]],
    want: [">s@b.test sender non-delivery message: r2 r3"],
    remarks: [`${DROPPED}NEVER`],
  },
  {
    why: "a copy for the postmaster is of all recipients, headers only",
    kind: "failed",
    notify: [["NEVER"], undefined],
    classes: ["bounce"],
    want: [
      ">s@b.test sender non-delivery message: r2",
      `${DOUBLE}>bounce@mail.test postmaster non-delivery headers: r1 r2`,
    ],
    remarks: [`${DROPPED}NEVER`],
  },
  {
    why: "DSN-31: null sender",
    kind: "failed",
    sender: "",
    notify: PLAIN,
    want: [],
    remarks: ["undeliverable mail with null sender dropped, nobody to notify"],
  },
  {
    why: "null sender, 2bounce: the postmaster gets all of it",
    kind: "failed",
    sender: "",
    notify: [["NEVER"]],
    classes: ["2bounce"],
    want: [`${DOUBLE}>2bounce@mail.test postmaster non-delivery message: r1`],
  },
  {
    why: "null sender, bounce means 2bounce too",
    kind: "failed",
    sender: "",
    notify: PLAIN,
    classes: ["bounce"],
    want: [`${DOUBLE}>2bounce@mail.test postmaster non-delivery message: r1`],
  },
  {
    why: "what came from the double-bounce address ends here",
    kind: "failed",
    sender: "Double-Bounce@mail.test",
    notify: PLAIN,
    classes: ["bounce", "2bounce"],
    want: [],
    remarks: ["undeliverable postmaster notification discarded"],
  },
  {
    why: "DSN-26: a delay, nothing asked",
    kind: "delayed",
    notify: PLAIN,
    want: [">s@b.test sender delay headers: r1"],
  },
  {
    why: "DSN-26: a delay, DELAY asked",
    kind: "delayed",
    ret: "FULL",
    notify: [["DELAY"]],
    want: [">s@b.test sender delay headers: r1"],
  },
  { why: "DSN-26: given without DELAY", kind: "delayed", notify: [["SUCCESS", "FAILURE"]], want: [] },
  {
    why: "a delay, with a copy for the postmaster",
    kind: "delayed",
    notify: [["NEVER"], undefined],
    classes: ["delay"],
    want: [">s@b.test sender delay headers: r2", `${DOUBLE}>delay@mail.test postmaster delay headers: r1 r2`],
  },
  { why: "a delayed bounce", kind: "delayed", sender: "", notify: PLAIN, classes: ["bounce", "2bounce"], want: [] },
  {
    why: "a delayed bounce, delay",
    kind: "delayed",
    sender: "",
    notify: PLAIN,
    classes: ["delay"],
    want: [`${DOUBLE}>delay@mail.test postmaster delay message: r1`],
  },
  {
    why: "a delayed notice to the postmaster",
    kind: "delayed",
    sender: DOUBLE,
    notify: PLAIN,
    classes: ["delay"],
    want: [],
  },
  {
    why: "DSN-25: success, as asked",
    kind: "success",
    ret: "FULL",
    notify: [["SUCCESS"]],
    classes: ["bounce", "delay"],
    want: [">s@b.test sender delivery status headers: r1"],
  },
  {
    why: "DSN-31: success of a bounce",
    kind: "success",
    sender: "",
    notify: [["SUCCESS"]],
    classes: ["2bounce"],
    want: [],
  },
  { why: "success of a notice to the postmaster", kind: "success", sender: DOUBLE, notify: [["SUCCESS"]], want: [] },
];

const POSTMASTERS = {
  bounce: asAddress("bounce@mail.test"),
  doubleBounce: asAddress("2bounce@mail.test"),
  delay: asAddress("delay@mail.test"),
  sender: asAddress(DOUBLE),
};

function planned(row: Row) {
  const origin = { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" };
  const outcome = { kind: "bounced", dsn: "5.1.1", text: "no", relay: "none", connectMs: 0, transmitMs: 0 } as const;
  const recipients = row.notify.map((notify, i) => {
    const address = asAddress(`r${i + 1}@far.test`);
    return { recipient: { address, original: address, dsn: { notify } }, outcome: { ...outcome, recipientId: i } };
  });
  const envelope = {
    queueId: "Q" as QueueId,
    sender: asAddress(row.sender ?? "s@b.test"),
    arrivalMs: 0,
    smtputf8: false,
    body: "7BIT" as const,
    origin,
    dsn: { ret: row.ret },
  };
  return planNotices(row.kind, { envelope, recipients }, { ...POSTMASTERS, classes: new Set(row.classes ?? []) });
}

for (const row of ROWS) {
  test(`planNotices() ${row.why}`, () => {
    const { notices, remarks } = planned(row);
    const shown = notices.map(({ from, to, label, returned, recipients }) => {
      const names = recipients.map(({ recipient }) => recipient.address.slice(0, 2)).join(" ");
      return `${from}>${to} ${label.replace(/ notification$/, "")} ${returned}: ${names}`;
    });
    assert.deepEqual(shown, row.want);
    assert.deepEqual(
      remarks.map(({ text }) => text),
      row.remarks ?? [],
    );
    for (const { from, to, postmaster } of notices) assert.equal(postmaster, from === DOUBLE, `to ${to}`);
  });
}
