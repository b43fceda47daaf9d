/** Tests of the room as a whole: real tables, routes and record, a scripted agent, time by hand. The log lines are compared
 *  with a real Postfix in test/interop/address-verification.interop.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { ManualClock, settled } from "../qmgr/testdata/manual-clock.ts";
import { createTableOpener } from "../tables/open.ts";
import { openStatusCache, type StatusCache } from "../tables/status-cache.ts";
import { createVerification } from "./create.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const SETTINGS = {
  ...{ compatibility_level: "3.10", mydestination: "mail.example.org", myorigin: "example.org", alias_maps: "" },
  ...{ local_recipient_maps: "", relayhost: "[hub.test]", virtual_alias_domains: "alias.test" },
  virtual_alias_maps: "inline:{ { list@alias.test = a@x.test b@x.test }, { one@alias.test = a@x.test } }",
};

type Answering = (request: DeliveryRequest, signal: AbortSignal) => Promise<Pick<RcptOutcome, "kind" | "dsn" | "text">>;

interface Setting {
  readonly settings?: Readonly<Record<string, string>>;
  readonly answer?: Answering;
  readonly agent?: Partial<DeliveryAgent>;
  readonly cache?: () => StatusCache;
}

const TAKEN = { kind: "sent", dsn: "2.1.5", text: "250 2.1.5 Ok" } as const;
const REFUSED = { kind: "bounced", dsn: "5.1.1", text: "host h said: 550 no" } as const;

function world({ settings = {}, answer = async () => TAKEN, agent = {}, cache }: Setting = {}) {
  const at = { file: "main.cf", line: 1 };
  const snapshot: ConfigSnapshot = {
    ...{ generation: 1, configDirectory: "/etc/postern", services: [], files: new Map() },
    mainCf: Object.entries({ ...SETTINGS, ...settings }).map(([name, value]) => ({ name, value, at })),
    builtins: new Map([["myhostname", "mail.example.org"]]),
  };
  const clock = new ManualClock();
  const requests: DeliveryRequest[] = [];
  const lines: string[] = [];
  const logFor = (tag: string) =>
    new Log({ sink: ({ text }) => void lines.push(`${tag}: ${text}`), now: () => clock.now(), tag, id: 1 });
  const memory = openStatusCache(":memory:");
  const verification = createVerification({
    ...{ snapshot, ownAddresses: [], clock, logFor, cache: cache ?? (() => memory) },
    tables: createTableOpener({
      files: { read: () => assert.fail("no files"), onChange: () => undefined },
      log: logFor("tables"),
    } as never),
    nextQueueId: () => "ID" as QueueId,
    agent: () => ({
      probes: true,
      async deliver(request, signal) {
        requests.push(request);
        const said = await answer(request, signal);
        return [{ recipientId: 1, relay: "h", connectMs: 0, transmitMs: 0, ...said }];
      },
      close: async () => undefined,
      ...agent,
    }),
  });
  const ask = async (address: string) => {
    const { kind, text } = verification.query(asAddress(address));
    await settled();
    return `${kind}: ${text}`;
  };
  return { ask, clock, requests, lines, verification, memory };
}

const PENDING = "pending: Address verification in progress";

test("the first question sends a probe, the next ones get its answer", async () => {
  const { ask, requests } = world();
  assert.equal(await ask("a@x.test"), PENDING);
  assert.equal(await ask("a@X.test"), "deliverable: 250 2.1.5 Ok");
  assert.equal(requests.length, 1);
  const [request] = requests;
  assert.equal(request?.probe, true);
  assert.equal(request?.envelope.sender, "double-bounce@example.org");
  assert.deepEqual([request?.transport, request?.nexthop], ["smtp", "[hub.test]"]);
  assert.ok((request?.content.sizeBytes ?? 0) > 100);
});

test("nobody is asked about an address whose probe is under way", async () => {
  const answers: (() => void)[] = [];
  const answer: Answering = () => new Promise((resolve) => answers.push(() => resolve(REFUSED)));
  const { ask, requests } = world({ answer, settings: { address_verify_negative_cache: "no" } });
  for (let i = 0; i < 5; i++) assert.equal(await ask("a@x.test"), PENDING);
  assert.equal(requests.length, 1);
  answers[0]?.();
  await settled();
  assert.equal(await ask("a@x.test"), PENDING, "a failure is not kept");
  assert.equal(requests.length, 2);
});

test("what is old is asked again, and stays until there is an answer", async () => {
  let said: Pick<RcptOutcome, "kind" | "dsn" | "text"> = TAKEN;
  const { ask, requests, clock } = world({ answer: async () => said });
  await ask("a@x.test");
  await clock.advance(8 * DAY);
  said = REFUSED;
  assert.match(await ask("a@x.test"), /^deliverable/);
  assert.equal(requests.length, 2);
  assert.match(await ask("a@x.test"), /^deliverable/, "a failure does not overrule a success");
  assert.equal(requests.length, 2, "and is not repeated at once");
  await clock.advance(24 * DAY);
  assert.equal(await ask("a@x.test"), PENDING);
  assert.equal(await ask("a@x.test"), "undeliverable: host h said: 550 no");
});

const NAMES: readonly {
  readonly address: string;
  readonly want: string;
  readonly asked: number;
  readonly why: string;
}[] = [
  { address: "one@alias.test", want: "deliverable: 250 2.1.5 Ok", asked: 1, why: "an alias leads to one address" },
  { address: "list@alias.test", want: "deliverable: aliased to multiple recipients", asked: 0, why: "to several" },
  {
    address: "double-bounce@mail.example.org",
    want: "deliverable: undeliverable postmaster notification discarded",
    asked: 0,
    why: "where bounces end",
  },
];
for (const { address, want, asked, why } of NAMES) {
  test(`what is probed: ${why}`, async () => {
    const { ask, requests } = world();
    await ask(address);
    assert.equal(await ask(address), want);
    assert.equal(requests.length, asked);
  });
}

const ROUTES: readonly { readonly settings: Record<string, string>; readonly want: string; readonly why: string }[] = [
  { settings: {}, want: "smtp [hub.test]", why: "as mail" },
  { settings: { address_verify_relayhost: "" }, want: "smtp x.test", why: "past the relay host" },
  {
    settings: { address_verify_relayhost: "$relayhost" },
    want: "smtp [hub.test]",
    why: "by the parameter's own value",
  },
  { settings: { address_verify_default_transport: "direct:" }, want: "direct [hub.test]", why: "another transport" },
  {
    settings: {
      transport_maps: "inline:{ x.test=smtp:[mail] }",
      address_verify_transport_maps: "inline:{ x.test=p:[q] }",
    },
    want: "p [q]",
    why: "another table",
  },
];
for (const { settings, want, why } of ROUTES) {
  test(`how a probe goes: ${why}`, async () => {
    const { ask, requests } = world({ settings });
    await ask("a@x.test");
    assert.equal(`${requests[0]?.transport} ${requests[0]?.nexthop}`, want);
  });
}

const SENDERS: readonly { readonly settings: Record<string, string>; readonly want: RegExp; readonly why: string }[] = [
  { settings: { address_verify_sender: "" }, want: /^$/, why: "none" },
  { settings: { address_verify_sender: "<>" }, want: /^$/, why: "none, as it is written in SMTP" },
  { settings: { address_verify_sender: "probe" }, want: /^probe@example\.org$/, why: "completed" },
  { settings: { address_verify_sender_ttl: "1h" }, want: /^double-bounce[\dA-Z]+@example\.org$/, why: "for a time" },
];
for (const { settings, want, why } of SENDERS) {
  test(`the sender of a probe: ${why}`, async () => {
    const { ask, requests } = world({ settings });
    await ask("a@x.test");
    assert.match(requests[0]?.envelope.sender ?? "?", want);
  });
}

test("an agent that takes no probes gets none: it would deliver", async () => {
  const { ask, requests } = world({ agent: { probes: undefined } });
  await ask("a@x.test");
  assert.equal(await ask("a@x.test"), "unreachable: mail transport takes no address probes");
  assert.equal(requests.length, 0);
});

test("an agent with a bug, and one that breaks off, say nothing for good", async () => {
  const { ask, lines } = world({ answer: async () => assert.fail("oops") });
  await ask("a@x.test");
  assert.match(await ask("a@x.test"), /^unreachable: /);
  assert.match(lines.join("\n"), /address probe failed: oops/);
});

test("too many probes at the same time fail for now, those under way go on", async () => {
  const settings = { address_verify_pending_request_limit: "2" };
  const { ask, requests } = world({ settings, answer: () => new Promise(() => undefined) });
  for (const name of ["a", "b", "c"]) await ask(`${name}@x.test`);
  assert.equal(requests.length, 2);
  assert.equal(await ask("c@x.test"), "unreachable: Too many address verification requests");
  assert.equal(await ask("a@x.test"), PENDING);
});

test("one destination has no more probes at the same time than deliveries", async () => {
  const open: (() => void)[] = [];
  const settings = { default_destination_concurrency_limit: "3" };
  const { ask, requests } = world({ settings, answer: () => new Promise((r) => open.push(() => r(TAKEN))) });
  for (let i = 0; i < 9; i++) await ask(`${i}@x.test`);
  assert.equal(requests.length, 3);
  for (let i = 1; i <= 9; i++) {
    open[i - 1]?.();
    await settled();
    assert.equal(requests.length, Math.min(9, 3 + i));
  }
  assert.equal(await ask("8@x.test"), "deliverable: 250 2.1.5 Ok");
});

test("the end of a configuration breaks its probes off and keeps no answer of them", async () => {
  let broken = false;
  const answer: Answering = (_request, signal) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        broken = true;
        resolve({ kind: "deferred", dsn: "4.3.2", text: "interrupted" });
      });
    });
  const { ask, verification, memory } = world({ answer });
  await ask("a@x.test");
  verification.close();
  await settled();
  assert.equal(broken, true);
  const record = memory.get("a@x.test");
  assert.deepEqual([record?.updatedMs, record?.probedMs], [0, 0], "the next one who asks sends another");
});

test("without its record nothing is known, and nothing is probed", async () => {
  const { ask, requests, lines } = world({
    cache: () => {
      throw new Error("disk I/O error");
    },
  });
  assert.equal(await ask("a@x.test"), "failed: address verification problem");
  assert.equal(requests.length, 0);
  assert.deepEqual(lines, ["verify: address verification: disk I/O error"]);
});

test("what is expired is removed twice a day", async () => {
  const { ask, clock, memory, lines } = world({ answer: async () => REFUSED });
  await ask("a@x.test");
  await clock.advance(4 * DAY);
  await ask("b@x.test");
  await clock.advance(1000);
  assert.equal(memory.get("a@x.test"), undefined);
  assert.match(lines.join("\n"), /full cleanup: retained=1 dropped=1 entries/);
});
