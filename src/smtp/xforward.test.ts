import assert from "node:assert/strict";
import { test } from "node:test";
import type { Envelope, Origin } from "../mail/envelope.ts";
import { FakePeer } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";
import { xforwardCommands } from "./xforward.ts";

const ALL = "NAME ADDR PROTO HELO SOURCE PORT IDENT";
const CLIENT: Origin = {
  clientName: "pc.x.test",
  clientAddress: "192.0.2.7",
  helo: "my pc",
  protocol: "ESMTP",
  service: "smtp",
};
const CASES: readonly { announced?: string; origin?: Partial<Origin>; want: readonly string[]; why: string }[] = [
  {
    announced: ALL,
    want: [
      "XFORWARD NAME=pc.x.test ADDR=192.0.2.7 PORT=[UNAVAILABLE]",
      "XFORWARD PROTO=ESMTP HELO=my+20pc IDENT=AB12 SOURCE=REMOTE",
    ],
    why: "all attributes",
  },
  { announced: "ADDR IDENT", want: ["XFORWARD ADDR=192.0.2.7", "XFORWARD IDENT=AB12"], why: "those announced" },
  { want: [], why: "not announced" },
  {
    announced: "NAME ADDR SOURCE",
    origin: { clientName: "unknown", clientAddress: "2001:db8::1", saslUsername: "ann" },
    want: ["XFORWARD NAME=[UNAVAILABLE] ADDR=IPv6:2001:db8::1", "XFORWARD SOURCE=LOCAL"],
    why: "no name, IPv6, logged in",
  },
  {
    announced: ALL,
    origin: {
      forwarded: { name: "first.test", address: "198.51.100.1", port: 1234, queueId: "FF00", source: "local" },
    },
    want: [
      "XFORWARD NAME=first.test ADDR=198.51.100.1 PORT=1234",
      "XFORWARD PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE] IDENT=FF00 SOURCE=LOCAL",
    ],
    why: "what another host told us",
  },
  {
    announced: ALL,
    origin: { clientName: "localhost", clientAddress: "127.0.0.1", helo: undefined, uid: 1000 },
    want: ["XFORWARD SOURCE=LOCAL"],
    why: "a program of this machine, as Postfix 3.7 tells it",
  },
];
for (const c of CASES) {
  test(`xforwardCommands() ${c.why}`, () => {
    const envelope = { queueId: "AB12", origin: { ...CLIENT, ...c.origin } } as Envelope;
    assert.deepEqual(xforwardCommands(c.announced, envelope), c.want);
  });
}

for (const [send, reply, why] of [
  ["yes", undefined, "sent"],
  ["yes", "550 5.7.0 no", "refused, and the mail is sent all the same"],
  ["no", undefined, "off by default"],
] as const) {
  test(`XFORWARD before MAIL: ${why}`, async () => {
    const peer = await FakePeer.start({
      features: ["PIPELINING", "XFORWARD ADDR IDENT"],
      answer: (command) => (command.startsWith("XFORWARD") ? (reply ?? "250 2.0.0 Ok") : undefined),
    });
    const settings = { smtp_send_xforward_command: send };
    const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings, tables: {}, protocol: "smtp" });
    try {
      const [outcome] = await world.deliver({});
      assert.equal(outcome?.kind, "sent");
      const commands = peer.commands().map((command) => command.split(/[ =:]/, 2).join(" "));
      const told = send === "yes" ? ["XFORWARD ADDR", "XFORWARD IDENT"] : [];
      assert.deepEqual(commands.slice(1, told.length + 2), [...told, "MAIL FROM"]);
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  });
}
