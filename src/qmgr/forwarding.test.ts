/** qmgr/forwarding.test.ts: what an agent forwards is committed with the outcome that it stands for, and only then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { DeliveryRequest, ForwardedMessage, RcptOutcome } from "../mail/delivery.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World, type WorldOptions } from "./testdata/world.ts";

const FAILURE = { dsn: "5.7.1", text: "mail to command is restricted", relay: "local", connectMs: 0, transmitMs: 0 };

interface Alias {
  readonly kind: RcptOutcome["kind"];
  readonly addresses?: readonly string[];
  readonly dsnAction?: RcptOutcome["dsnAction"];
  readonly also?: boolean;
}

/** Forwards mail for list@…, delivers everything else. */
function worldWith(alias: Alias, options: Partial<WorldOptions> = {}): World {
  const world: World = new World({
    ...options,
    deliver: async (request) => {
      const [first] = request.recipients;
      if (!first?.address.startsWith("list@")) return outcome(request, "sent", "2.0.0", "250 2.0.0 Ok");
      const forwards = [forwardOf(world, request, alias.addresses ?? ["x@far.test", "y@far.test"])];
      const text = `forwarded as ${forwards[0]?.envelope.queueId}`;
      const [made] = outcome(request, alias.kind, alias.kind === "sent" ? "2.0.0" : "4.3.0", text);
      assert.ok(made);
      const failed = { ...FAILURE, recipientId: first.id, kind: "bounced" } as const;
      const also = alias.also === true ? [{ ...failed, address: asAddress("prog@here.test") }] : undefined;
      return [{ ...made, ...(alias.kind === "bounced" && FAILURE), relay: "local", forwards, also }].map((one) => ({
        ...one,
        dsnAction: alias.dsnAction,
      }));
    },
  });
  return world;
}

function forwardOf(world: World, { envelope }: DeliveryRequest, addresses: readonly string[]): ForwardedMessage {
  const queueId = world.nextId();
  const original = asAddress("list@here.test");
  return {
    envelope: { ...envelope, queueId, sender: asAddress("owner-list@here.test") },
    recipients: addresses.map((address) => ({ address: asAddress(address), original })),
    head: Buffer.from("Delivered-To: list@here.test\r\n"),
    messageId: "<m@x.test>",
  };
}

const linesOf = (world: World, id: string) => world.lines.filter((line) => line.includes(` ${id}: `));
const stripped = (line: string) => line.replace(/delay=.*?, dsn/, "dsn");

test("a forwarded message is committed with its outcome, and delivered", async () => {
  const world = worldWith({ kind: "sent" });
  await world.send(["list@here.test"]);
  await settled();
  const [first] = world.store.settlements;
  assert.deepEqual([first?.done, first?.forwards?.length, first?.append], [[1], 1, []]);
  assert.deepEqual(
    first?.forwards?.[0]?.recipients.map(({ address, lane }) => [address, lane]),
    [
      ["x@far.test", "smtp:far.test"],
      ["y@far.test", "smtp:far.test"],
    ],
  );
  assert.deepEqual(linesOf(world, "Q2").map(stripped), [
    "postfix/cleanup: Q2: message-id=<m@x.test>",
    "postfix/qmgr: Q2: from=<owner-list@here.test>, size=48, nrcpt=2 (queue active)",
    ...["x", "y"].map(
      (user) =>
        `postfix/smtp: Q2: to=<${user}@far.test>, orig_to=<list@here.test>, relay=mx.test[192.0.2.1]:25, dsn=2.0.0, status=sent (250 2.0.0 Ok)`,
    ),
    "postfix/qmgr: Q2: removed",
  ]);
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("nothing is forwarded for a recipient that waits", async () => {
  const world = worldWith({ kind: "deferred" });
  await world.send(["list@here.test"]);
  await settled();
  assert.ok(world.store.settlements.every(({ forwards }) => (forwards ?? []).length === 0));
  assert.equal(world.store.waiting.length, 1);
});

test("nothing is forwarded while the commit fails; then once", async () => {
  const world = worldWith({ kind: "sent" });
  world.store.failures = 2;
  await world.send(["list@here.test"]);
  await world.clock.advance(10_000);
  assert.equal(world.store.settlements.filter(({ forwards }) => (forwards ?? []).length > 0).length, 1);
  assert.equal(world.store.messages.size, 0);
});

test("an alias of which a part fails is forwarded and bounced in one commit, each failure named", async () => {
  const world = worldWith({ kind: "bounced", also: true });
  await world.send(["list@here.test"]);
  await settled();
  const [first] = world.store.settlements;
  assert.deepEqual([first?.done, first?.forwards?.length, first?.append.length], [[1], 1, 1]);
  const report = first?.append[0]?.body;
  const text = Buffer.from(report?.kind === "inline" ? report.bytes : []).toString();
  assert.match(text, /Final-Recipient: rfc822; list@here\.test\r\n[\s\S]*Final-Recipient: rfc822; prog@here\.test\r\n/);
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("with soft_bounce it waits as a whole", async () => {
  const world = worldWith({ kind: "bounced", also: true }, { settings: { soft_bounce: "yes" } });
  await world.send(["list@here.test"]);
  await settled();
  assert.deepEqual(world.store.settlements[0]?.forwards, []);
  assert.equal(world.store.waiting.length, 1);
});

test("a failure that cannot be reported forwards nothing", async () => {
  const world = worldWith({ kind: "bounced", also: true }, { bounceFails: () => true });
  await world.send(["list@here.test"]);
  await settled();
  assert.deepEqual(world.store.settlements[0]?.forwards, []);
  assert.equal(world.store.waiting.length, 1);
  assert.deepEqual(world.store.mistakes, []);
});

test("the log names where an alias led, and the transport that delivered", async () => {
  const world = new World({
    deliver: async (request) =>
      outcome(request, "sent", "2.0.0", "250 2.0.0 Ok").map((one) => ({
        ...one,
        address: asAddress("alice@here.test"),
        transport: "lmtp",
      })),
  });
  await world.send(["list@here.test"]);
  await settled();
  const [line] = world.lines.filter((text) => text.includes("status=sent"));
  assert.match(line ?? "", /^postfix\/lmtp: Q1: to=<alice@here\.test>, orig_to=<list@here\.test>, relay=/);
});
