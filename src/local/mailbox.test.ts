/** Where the mail of users goes, and that of names that nobody knows: other transports, luser_relay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryAgent, DeliveryRequest } from "../mail/delivery.ts";
import { Site, type SiteOptions, told } from "./testdata/site.ts";

/** An agent of another transport that says what it was asked, or what the user's name says. */
function otherAgent(asked: DeliveryRequest[], options: { readonly probes?: true } = {}): DeliveryAgent {
  return {
    ...options,
    async deliver(request) {
      asked.push(request);
      return request.recipients.map(({ id, address }) => {
        const common = { recipientId: id, relay: "store[/s]", connectMs: 1, transmitMs: 2 };
        if (address.startsWith("full")) return { ...common, kind: "bounced", dsn: "5.2.2", text: "over quota" };
        return { ...common, kind: "sent", dsn: "2.0.0", text: "250 2.0.0 saved", dsnAction: "passedOn" };
      });
    },
    async close() {},
  };
}

interface Case {
  readonly set: Readonly<Record<string, string>>;
  readonly to: string;
  readonly want: readonly string[];
  /** transport:nexthop address of what the other agent was asked. */
  readonly asked?: string;
  readonly why: string;
}

const MAPS = "inline:{ {alice = store:unix:maps} }";
const SAVED = ["sent 2.0.0 250 2.0.0 saved"];
const CASES: readonly Case[] = [
  {
    set: { mailbox_transport: "store:unix:sock" },
    to: "alice",
    want: SAVED,
    asked: "store:unix:sock alice@here.test",
    why: "a user",
  },
  {
    set: { mailbox_transport: "store:unix:sock" },
    to: "ghost",
    want: SAVED,
    asked: "store:unix:sock ghost@here.test",
    why: "known or not",
  },
  {
    set: { mailbox_transport: "store" },
    to: "alice+x",
    want: SAVED,
    asked: "store:here.test alice+x@here.test",
    why: "the next hop stays",
  },
  {
    set: { mailbox_transport: "store:" },
    to: "full",
    want: ["bounced 5.2.2 over quota"],
    asked: "store:here.test full@here.test",
    why: "what the other says counts",
  },
  {
    set: { mailbox_transport: "store", alias_maps: "inline:{ {boss = alice} }" },
    to: "boss",
    want: ["sent 2.0.0 <alice@here.test> 250 2.0.0 saved"],
    asked: "store:here.test alice@here.test",
    why: "aliases come first",
  },
  {
    set: { mailbox_transport_maps: MAPS },
    to: "Alice+x",
    want: SAVED,
    asked: "store:unix:maps Alice+x@here.test",
    why: "mailbox_transport_maps, by name",
  },
  {
    set: { mailbox_transport_maps: MAPS, mailbox_transport: "nowhere" },
    to: "alice",
    want: SAVED,
    asked: "store:unix:maps alice@here.test",
    why: "maps come first",
  },
  {
    set: { mailbox_transport_maps: MAPS },
    to: "bob",
    want: ["sent 2.0.0 delivered to maildir"],
    why: "who is not in them",
  },
  {
    set: { mailbox_transport_maps: "fail:x" },
    to: "alice",
    want: ["deferred 4.3.0 table lookup problem"],
    why: "maps that fail",
  },
  {
    set: { mailbox_transport: "nowhere" },
    to: "alice",
    want: ["deferred 4.3.0 mail transport unavailable: nowhere"],
    why: "no such transport",
  },
  {
    set: { mailbox_transport: "local" },
    to: "alice",
    want: ["deferred 4.3.0 mail transport unavailable: local"],
    why: "itself",
  },
  {
    set: { fallback_transport: "store:hop" },
    to: "ghost",
    want: SAVED,
    asked: "store:hop ghost@here.test",
    why: "fallback_transport",
  },
  {
    set: { fallback_transport: "store:hop" },
    to: "alice",
    want: ["sent 2.0.0 delivered to maildir"],
    why: "which users do not need",
  },
  {
    set: { fallback_transport_maps: "inline:{ {ghost = store:maps} }", fallback_transport: "nowhere" },
    to: "ghost",
    want: SAVED,
    asked: "store:maps ghost@here.test",
    why: "fallback_transport_maps",
  },
  {
    set: { luser_relay: "$user+$extension@other.test" },
    to: "ghost+x",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to ghost+x@other.test"],
    why: "luser_relay",
  },
  {
    set: { luser_relay: "admin, ${local}@other.test" },
    to: "ghost",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to admin@here.test ghost@other.test"],
    why: "luser_relay of two",
  },
  {
    set: { luser_relay: "x@other.test" },
    to: "alice",
    want: ["sent 2.0.0 delivered to maildir"],
    why: "which users do not need",
  },
  {
    set: { luser_relay: "|/bin/true" },
    to: "ghost",
    want: ["deferred 4.3.5 luser_relay is not an address"],
    why: "a command",
  },
  {
    set: { luser_relay: "$user@other.test" },
    to: "a$myhostname;b",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to a_myhostname_b@other.test"],
    why: "a name is no macro",
  },
  {
    set: { mailbox_command: "/usr/bin/procmail" },
    to: "alice",
    want: ["deferred 4.3.5 mailbox_command is not run here"],
    why: "mailbox_command",
  },
  {
    set: { mailbox_command: "/usr/bin/procmail" },
    to: "ghost",
    want: ['bounced 5.1.1 unknown user: "ghost"'],
    why: "which unknown names do not reach",
  },
  {
    set: { mailbox_size_limit: "10" },
    to: "alice",
    want: ["bounced 5.2.2 maildir delivery failed: message is larger than mailbox_size_limit"],
    why: "mailbox_size_limit",
  },
  { set: { mailbox_size_limit: "0" }, to: "alice", want: ["sent 2.0.0 delivered to maildir"], why: "no limit" },
];

function siteOf(t: { after(run: () => void): void }, options: SiteOptions): Site {
  const site = new Site({ users: ["alice", "bob"], ...options });
  t.after(() => site.remove());
  return site;
}

for (const c of CASES) {
  test(`mailbox: ${c.why}: ${c.to} with ${JSON.stringify(c.set)}`, async (t) => {
    const asked: DeliveryRequest[] = [];
    const site = siteOf(t, { settings: c.set, agents: { store: otherAgent(asked) } });
    const outcome = await site.deliver(`${c.to}@here.test`, { sender: "s@from.test" });
    assert.deepEqual(told(outcome), c.want);
    const shown = asked.map(
      ({ transport, nexthop, recipients }) => `${transport}:${nexthop} ${recipients[0]?.address}`,
    );
    assert.deepEqual(shown, c.asked === undefined ? [] : [c.asked]);
    if (c.asked !== undefined) assert.equal(outcome.transport, "store", "the log names it");
    if (c.want === SAVED)
      assert.deepEqual([outcome.relay, outcome.dsnAction, outcome.connectMs], ["store[/s]", "passedOn", 1]);
  });
}

test("an agent that knows no probes is not asked by one", async (t) => {
  const asked: DeliveryRequest[] = [];
  const settings = { mailbox_transport: "store" };
  const deaf = siteOf(t, { settings, agents: { store: otherAgent(asked) } });
  assert.deepEqual(told(await deaf.deliver("alice@here.test", { probe: true })), [
    "sent 2.0.0 delivers to transport store",
  ]);
  assert.equal(asked.length, 0);
  const good = siteOf(t, { settings, agents: { store: otherAgent(asked, { probes: true }) } });
  assert.deepEqual(told(await good.deliver("alice@here.test", { probe: true })), SAVED);
  assert.equal(asked[0]?.probe, true);
});
