/** qmgr/reports.test.ts: when reports are made, and in which commit they ride (RFC 3461 §5.2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";

const HOUR_MS = 3_600_000;
const SUCCESS = { notify: ["SUCCESS"] as const };

type Deliver = (r: DeliveryRequest) => Promise<readonly RcptOutcome[]>;
const isReport = (r: DeliveryRequest) => r.envelope.sender === "" || r.envelope.sender.startsWith("double-bounce@");
const sent: Deliver = async (r) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");
const sentAs =
  (dsnAction: RcptOutcome["dsnAction"]): Deliver =>
  async (r) =>
    (await sent(r)).map((one) => (isReport(r) ? one : { ...one, dsnAction }));
const later: Deliver = async (r) => (isReport(r) ? sent(r) : outcome(r, "deferred", "4.2.0", "450 4.2.0 later"));

function reportLines(world: World): readonly string[] {
  return world.lines.filter((line) => line.startsWith("postfix/bounce: ")).map((line) => line.slice(16));
}

function textOf(world: World, index: number): string {
  const report = world.store.settlements.flatMap((settlement) => settlement.append)[index];
  const body = report?.body.kind === "inline" ? report.body.bytes : [];
  return Buffer.concat([Buffer.from(report?.header ?? []), Buffer.from(body)]).toString();
}

const SUCCESSES = [
  { notify: undefined, dsnAction: undefined, want: undefined, why: "DSN-24: not asked" },
  { notify: ["FAILURE", "DELAY"], dsnAction: "relayed", want: undefined, why: "DSN-24: other things asked" },
  { notify: ["NEVER"], dsnAction: "relayed", want: undefined, why: "DSN-23: NEVER" },
  { notify: ["SUCCESS"], dsnAction: undefined, want: "delivered", why: "DSN-25: delivered for good" },
  { notify: ["SUCCESS", "FAILURE"], dsnAction: "relayed", want: "relayed", why: "DSN-21: the hop lacks DSN" },
  { notify: ["SUCCESS"], dsnAction: "passedOn", want: undefined, why: "DSN-20: the hop has DSN" },
  { notify: ["SUCCESS"], dsnAction: "expanded", want: "expanded", why: "DSN-29: an alias" },
] as const;
for (const { notify, dsnAction, want, why } of SUCCESSES) {
  test(`success is reported as ${want}: ${why}`, async () => {
    const world = new World({ deliver: sentAs(dsnAction) });
    await world.send(["a@x.test"], { dsn: { notify } });
    await settled();
    const [first] = world.store.settlements;
    assert.deepEqual(first?.done, [1]);
    assert.equal(first?.append.length, want === undefined ? 0 : 1, "in the commit of the delivery");
    assert.deepEqual(reportLines(world), want === undefined ? [] : ["Q1: sender delivery status notification: Q2"]);
    if (want !== undefined)
      assert.match(textOf(world, 0), new RegExp(`\\r\\nAction: ${want}\\r\\nStatus: 2\\.0\\.0\\r\\n`));
    assert.equal(world.store.messages.size, 0);
    assert.deepEqual(world.store.mistakes, []);
  });
}

const VERIFIED = [
  {
    kind: "sent",
    dsn: "2.1.5",
    text: "250 2.1.5 Ok",
    status: "deliverable",
    told: "delivery via mx.test[192.0.2.1]:25: 250 2.1.5 Ok",
  },
  { kind: "bounced", dsn: "5.1.1", text: "550 No such user", status: "undeliverable", told: "550 No such user" },
  { kind: "deferred", dsn: "4.4.1", text: "timed out", status: "undeliverable", told: "timed out" },
] as const;
for (const { kind, dsn, text, status, told } of VERIFIED) {
  test(`sendmail -bv: the agent is only asked, once, and the sender hears of "${kind}"`, async () => {
    const probes: unknown[] = [];
    const world = new World({
      deliver: async (r) => {
        if (isReport(r)) return sent(r);
        probes.push(r.probe);
        return outcome(r, kind, dsn, text);
      },
    });
    await world.send(["a@x.test"], { dsn: { notify: ["NEVER"] }, wishes: { verify: true } });
    await settled();
    assert.deepEqual(probes, [true]);
    assert.deepEqual(reportLines(world), ["Q1: sender delivery status notification: Q2"]);
    const report = textOf(world, 0);
    assert.match(report, /\r\nSubject: Mail Delivery Status Report\r\n/);
    assert.ok(report.includes(`\r\n<a@x.test>: ${told}\r\n`), report);
    assert.match(report, new RegExp(`\\r\\nAction: ${status}\\r\\nStatus: ${dsn}\\r\\n`));
    assert.ok(world.lines.some((line) => line.endsWith(`dsn=${dsn}, status=${status} (${text})`)));
    assert.equal(world.store.messages.size, 0, "nothing is tried again");
  });
}

test("a report has the log lines of any mail that comes into the queue", async () => {
  const world = new World({ deliver: sent });
  await world.send(["a@x.test"], { dsn: SUCCESS });
  await settled();
  const about = world.lines.filter((line) => line.includes("Q2"));
  assert.match(about[0] ?? "", /^postfix\/cleanup: Q2: message-id=<\d{14}\.Q2@mail\.example\.org>$/);
  assert.equal(about[1], "postfix/bounce: Q1: sender delivery status notification: Q2");
  assert.match(about[2] ?? "", /^postfix\/qmgr: Q2: from=<>, size=\d+, nrcpt=1 \(queue active\)$/);
});

test("a success whose report cannot be made is not delivered again", async () => {
  const world = new World({ deliver: sent, bounceFails: () => true });
  await world.send(["a@x.test"], { dsn: SUCCESS });
  await settled();
  assert.equal(world.store.messages.size, 0);
  assert.match(reportLines(world).join(), /Q1: cannot make a success notification: Error: template is broken/);
});

test("a report of success is repeated with its commit until that succeeds", async () => {
  const world = new World({ deliver: sent });
  world.store.failures = 2;
  await world.send(["a@x.test"], { dsn: SUCCESS });
  await world.clock.advance(10_000);
  assert.deepEqual(reportLines(world), ["Q1: sender delivery status notification: Q2"]);
  assert.equal(world.store.messages.size, 0);
});

const DELAYED = { delay_warning_time: "1h", maximal_queue_lifetime: "5d" };

test("a delay is told of once, for all recipients that wait", async () => {
  const world = new World({ deliver: later, settings: DELAYED });
  await world.send(["a@x.test", "b@y.test"]);
  await world.clock.advance(0.9 * HOUR_MS);
  assert.deepEqual(reportLines(world), [], "not yet");
  await world.clock.advance(12 * HOUR_MS);
  assert.deepEqual(reportLines(world), ["Q1: sender delay notification: Q2"]);
  assert.match(textOf(world, 0), /Final-Recipient: rfc822; a@x\.test\r\n[\s\S]*Final-Recipient: rfc822; b@y\.test\r\n/);
  assert.equal(textOf(world, 0).match(/^Action: delayed\r$/gm)?.length, 2);
  assert.equal(world.store.waiting.length, 2);
  assert.ok(world.store.waiting.every(({ warned }) => warned));
  assert.deepEqual(world.store.mistakes, []);
});

const NO_WARNINGS = [
  { settings: {}, options: {}, why: "delay_warning_time is 0" },
  { settings: DELAYED, options: { dsn: { notify: ["FAILURE"] } }, why: "DSN-26: NOTIFY without DELAY" },
  { settings: DELAYED, options: { sender: "" }, why: "DSN-31: null sender" },
] as const;
for (const { settings, options, why } of NO_WARNINGS) {
  test(`a delay is not told of: ${why}`, async () => {
    const deliver: Deliver = async (r) => outcome(r, "deferred", "4.2.0", "450 4.2.0 later");
    const world = new World({ deliver, settings });
    await world.send(["a@x.test"], options);
    await world.clock.advance(12 * HOUR_MS);
    assert.deepEqual(reportLines(world), []);
    assert.equal(world.store.waiting.length, 1);
  });
}

test("a warning that cannot be made is tried again; the mail waits as ever", async () => {
  let broken = true;
  const world = new World({ deliver: later, settings: DELAYED, bounceFails: () => broken });
  await world.send(["a@x.test"]);
  await world.clock.advance(3 * HOUR_MS);
  assert.ok(reportLines(world).every((line) => line.startsWith("Q1: cannot make a delay notification")));
  assert.ok(reportLines(world).length > 0);
  broken = false;
  await world.clock.advance(3 * HOUR_MS);
  assert.match(reportLines(world).at(-1) ?? "", /^Q1: sender delay notification: Q\d+$/);
});

const CLEARED = [
  { setting: "yes", notify: undefined, want: 1, why: "a delay that is over" },
  { setting: "no", notify: undefined, want: 0, why: "confirm_delay_cleared is off" },
  { setting: "yes", notify: ["FAILURE"] as const, want: 0, why: "whose sender was not told of the delay" },
] as const;
for (const { setting, notify, want, why } of CLEARED) {
  test(`confirm_delay_cleared: ${want} reports of ${why}`, async () => {
    let up = false;
    const deliver: Deliver = (r) => (up ? sentAs("passedOn")(r) : later(r));
    const world = new World({ deliver, settings: { ...DELAYED, confirm_delay_cleared: setting } });
    await world.send(["a@x.test"], { dsn: { notify } });
    await world.clock.advance(3 * HOUR_MS);
    up = true;
    await world.clock.advance(3 * HOUR_MS);
    const cleared = reportLines(world).filter((line) => line.includes("delivery status"));
    assert.equal(cleared.length, want);
    assert.equal(world.store.messages.size, 0);
  });
}

test("DSN-23: what fails without wish for a report is dropped, and said", async () => {
  const world = new World({ deliver: async (r) => outcome(r, "bounced", "5.1.1", "550 no") });
  await world.send(["a@x.test"], { dsn: { notify: ["NEVER"] } });
  await settled();
  assert.deepEqual(reportLines(world), ["Q1: undeliverable mail to <a@x.test> dropped, NOTIFY=NEVER"]);
  assert.equal(world.store.messages.size, 0);
});

test("bounces of bounces end: sender, postmaster, nobody", async () => {
  const deliver: Deliver = async (r) => outcome(r, "bounced", "5.1.1", "550 no");
  const world = new World({ deliver, settings: { notify_classes: "bounce, 2bounce" } });
  await world.send(["a@x.test"]);
  await settled();
  assert.deepEqual([...reportLines(world)].sort(), [
    "Q1: postmaster non-delivery notification: Q3",
    "Q1: sender non-delivery notification: Q2",
    "Q2: postmaster non-delivery notification: Q4",
    "Q3: undeliverable postmaster notification discarded",
    "Q4: undeliverable postmaster notification discarded",
  ]);
  assert.equal(world.store.messages.size, 0);
});

test("mail to the double-bounce address is discarded, where the address is local", async () => {
  const lanes: string[] = [];
  const deliver: Deliver = (r) => {
    lanes.push(`${r.transport}:${r.nexthop}`);
    return sent(r);
  };
  const world = new World({ deliver });
  await world.send(["Double-Bounce@mail.example.org"]);
  await world.send(["double-bounce@elsewhere.test"]);
  await settled();
  assert.deepEqual(lanes, ["discard:undeliverable postmaster notification discarded", "smtp:elsewhere.test"]);
});
