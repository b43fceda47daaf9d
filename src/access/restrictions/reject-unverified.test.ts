/** Tests of access/restrictions/reject-unverified.ts: the replies (compared with a real Postfix in
 *  test/interop/address-verification.interop.ts), and how long it is asked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { parametersOf } from "../../config/parameters.ts";
import { Log } from "../../log/log.ts";
import { asAddress } from "../../mail/address.ts";
import type { AddressStatus } from "../../mail/address-prober.ts";
import { replyText } from "../../mail/reply.ts";
import type { Facts, Verdict } from "../access.ts";
import { compileAccess } from "../compile.ts";
import { NotAsked } from "../not-asked.ts";
import { formatLookup } from "../trace.ts";

const FACTS: Facts = {
  client: { address: "198.51.100.7", port: 4711, name: "c.test", reverseName: "r.test", nameStatus: "verified" },
  server: { address: "192.0.2.25", port: 587 },
  ...{ protocol: "ESMTP", command: "RCPT", helo: "c.test", sasl: undefined, saslEnabled: true, tls: undefined },
  sender: asAddress("s@far.test"),
  recipient: asAddress("R@Far.test"),
  ...{ recipientCount: 0, sizeBytes: undefined, queueId: undefined, earlyTalker: false },
};

/** What a list says when the prober gives these answers in turn, the last one for ever. */
function world(settings: Record<string, string>, answers: readonly (AddressStatus | Error)[]) {
  const asked: string[] = [];
  const slept: number[] = [];
  const params = parametersOf({ compatibility_level: "3.10", smtpd_relay_restrictions: "permit", ...settings });
  const { policy } = compileAccess(params, {
    tables: { open: () => assert.fail("no tables here") },
    resolver: {
      rewrite: (address) => asAddress(address.toLowerCase()),
      classOf: () => "default",
      route: () => assert.fail("restrictions never route"),
      unlistedIn: () => undefined,
      hasSenderRouting: () => false,
    },
    log: new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 }),
    mynetworks: { find: () => undefined },
    clock: { ...systemClock, sleep: async (ms) => void slept.push(ms) },
    ...(answers.length > 0 && {
      prober: {
        query(address) {
          asked.push(address);
          const answer = answers[Math.min(asked.length, answers.length) - 1];
          if (answer instanceof Error) throw answer;
          return answer ?? assert.fail();
        },
      },
    }),
  });
  return { session: policy.newSession("always"), asked, slept };
}

function said({ decision }: Verdict): string {
  return "reply" in decision ? replyText(decision.reply) : decision.kind;
}

const RECIPIENT = "reject_unverified_recipient, permit";
const SENDER = "reject_unverified_sender, permit";
const status = (kind: AddressStatus["kind"], text = "why"): AddressStatus => ({ kind, text });
const PENDING = status("pending", "Address verification in progress");

const ROWS: readonly {
  readonly why: string;
  readonly list?: string;
  readonly settings?: Record<string, string>;
  readonly answers: readonly AddressStatus[];
  readonly want: string;
}[] = [
  { why: "deliverable", answers: [status("deliverable")], want: "permit" },
  {
    why: "undeliverable; the code is one for now",
    answers: [status("undeliverable")],
    want: "450 4.1.1 <R@Far.test>: Recipient address rejected: unverified address: why",
  },
  {
    why: "undeliverable, a final code",
    settings: { unverified_recipient_reject_code: "550" },
    answers: [status("undeliverable")],
    want: "550 5.1.1 <R@Far.test>: Recipient address rejected: undeliverable address: why",
  },
  {
    why: "a sender's status is 1.7",
    list: SENDER,
    settings: { unverified_sender_reject_code: "550", unverified_sender_reject_reason: "gone" },
    answers: [status("undeliverable")],
    want: "550 5.1.7 <s@far.test>: Sender address rejected: undeliverable address: gone",
  },
  {
    why: "failed for now",
    settings: { unverified_recipient_defer_code: "451" },
    answers: [status("unreachable")],
    want: "451 4.1.1 <R@Far.test>: Recipient address rejected: unverified address: why",
  },
  {
    why: "still in progress; the reason is not replaced",
    settings: { unverified_recipient_reject_reason: "gone" },
    answers: [PENDING],
    want: "450 4.1.1 <R@Far.test>: Recipient address rejected: unverified address: Address verification in progress",
  },
  {
    why: "it cannot be known",
    answers: [status("failed")],
    want: "450 4.1.1 <R@Far.test>: Recipient address rejected: address verification problem",
  },
  {
    why: "nobody to ask",
    answers: [],
    want: "450 4.1.1 <R@Far.test>: Recipient address rejected: address verification problem",
  },
  {
    why: "a failure for now lets a later rule refuse",
    list: "reject_unverified_recipient, reject",
    answers: [status("unreachable")],
    want: "554 5.7.1 <R@Far.test>: Recipient address rejected: Access denied",
  },
  {
    why: "tempfail_action = defer does not",
    list: "reject_unverified_recipient, reject",
    settings: { unverified_recipient_tempfail_action: "defer" },
    answers: [status("unreachable")],
    want: "450 4.1.1 <R@Far.test>: Recipient address rejected: unverified address: why",
  },
  {
    why: "a long reason is cut",
    answers: [status("unreachable", "x".repeat(400))],
    want: `450 4.1.1 <R@Far.test>: Recipient address rejected: unverified address: ${"x".repeat(250)}`,
  },
];
for (const { why, list = RECIPIENT, settings, answers, want } of ROWS) {
  test(`reject_unverified_*: ${why}`, async () => {
    const { session } = world({ smtpd_recipient_restrictions: list, ...settings }, answers);
    assert.equal(said(await session.atRcpt(FACTS)), want);
  });
}

test("a probe under way is asked for again, address_verify_poll_count times", async () => {
  const settings = { smtpd_recipient_restrictions: RECIPIENT, address_verify_poll_delay: "2s" };
  const soon = world(settings, [PENDING, status("deliverable")]);
  assert.equal(said(await soon.session.atRcpt(FACTS)), "permit");
  assert.deepEqual(soon.slept, [2000]);
  assert.deepEqual(soon.asked, ["r@far.test", "r@far.test"], "in canonical form");
  const late = world(settings, [PENDING]);
  await late.session.atRcpt(FACTS);
  assert.deepEqual(late.slept, [2000, 2000]);
  const stressed = world({ ...settings, stress: "yes" }, [PENDING]);
  await stressed.session.atRcpt(FACTS);
  assert.deepEqual(stressed.slept, [], "under stress nobody waits");
});

test("the null sender is nobody to verify", async () => {
  const { session, asked } = world({ smtpd_recipient_restrictions: SENDER }, [status("undeliverable")]);
  assert.equal(said(await session.atRcpt({ ...FACTS, sender: asAddress("") })), "permit");
  assert.deepEqual(asked, []);
});

test("the trace says what is known, or that nobody was asked", async () => {
  const lookups = async (answer: AddressStatus | Error) => {
    const { session } = world({ smtpd_recipient_restrictions: RECIPIENT }, [answer]);
    const { trace } = await session.atRcpt(FACTS);
    const step = trace.find(({ rule }) => rule.text === "reject_unverified_recipient");
    return [step?.result, ...(step?.lookups ?? []).map(formatLookup)];
  };
  assert.deepEqual(await lookups(status("undeliverable", "550 no")), [
    "defer",
    "verification of r@far.test -> undeliverable: 550 no",
  ]);
  assert.deepEqual(await lookups(new NotAsked()), ["notAsked", "verification of r@far.test -> not asked"]);
});
