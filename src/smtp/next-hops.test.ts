/** smtp/next-hops.test.ts: several next hops, and those that do not exist: whose mistake it is decides who has to wait. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePeer } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";

const UNKNOWN = "Host or domain name not found. Name service error for name=nowhere.test type=AAAA: Host not found";

const ROWS = [
  { why: "a destination that does not exist: returned", nexthop: "nowhere.test", want: `bounced 5.4.4 ${UNKNOWN}` },
  {
    why: "a relayhost that does not exist: our mistake",
    nexthop: "[nowhere.test]",
    settings: { relayhost: "[nowhere.test]" },
    want: `deferred 4.3.5 ${UNKNOWN}`,
    line: "relayhost configuration problem",
  },
  {
    why: "another destination than relayhost",
    nexthop: "[nowhere.test]",
    settings: { relayhost: "[relay.test]" },
    want: `bounced 5.4.4 ${UNKNOWN}`,
  },
  {
    why: "the first does not exist, the second takes it",
    nexthop: "[nowhere.test] PEER",
    want: "sent 2.0.0 250 2.0.0 Ok: queued as TEST",
  },
  {
    why: "the first defers, the second does not exist: the first has the last word",
    nexthop: "PEER [nowhere.test]",
    refuse: true,
    want: "deferred 4.7.1 host 127.0.0.1[127.0.0.1] said: 450 4.7.1 later (in reply to RCPT TO command)",
  },
  {
    why: "the destination is not found, the fallback relay takes it",
    nexthop: "nowhere.test",
    settings: { smtp_fallback_relay: "PEER" },
    want: "sent 2.0.0 250 2.0.0 Ok: queued as TEST",
  },
  {
    why: "we are the best exchanger: no fallback relay",
    nexthop: "self.test",
    settings: { smtp_fallback_relay: "PEER", inet_interfaces: "192.0.2.99" },
    want: "bounced 5.4.6 mail for self.test loops back to myself",
  },
  {
    why: "the domain wants no mail: no fallback relay",
    nexthop: "null.test",
    settings: { smtp_fallback_relay: "PEER" },
    want: "bounced 5.1.0 Domain null.test does not accept mail (nullMX)",
  },
];

for (const row of ROWS) {
  test(`SmtpAgent ${row.why}`, async () => {
    const answer = (command: string) => (row.refuse && command.startsWith("RCPT") ? "450 4.7.1 later" : undefined);
    const peer = await FakePeer.start({ answer });
    const place = (text: string) => text.replace("PEER", `[127.0.0.1]:${peer.port}`);
    const settings = Object.entries<string>(row.settings ?? {}).map(([name, value]) => [name, place(value)] as const);
    const world = createWorld({
      nexthop: place(row.nexthop),
      settings: Object.fromEntries(settings),
      zone: {
        "self.test": { mx: [{ preference: 10, exchange: "me.test" }] },
        "me.test": { a: ["192.0.2.99"] },
        "null.test": { mx: [{ preference: 0, exchange: "" }] },
      },
      myAddresses: ["192.0.2.99", "127.0.0.1"],
    });
    try {
      const [outcome] = await world.deliver({});
      assert.equal(`${outcome?.kind} ${outcome?.dsn} ${outcome?.text}`, row.want);
      if (row.line !== undefined) assert.ok(world.lines.includes(row.line), world.lines.join("\n"));
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  });
}
