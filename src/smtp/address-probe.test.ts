/** smtp/address-probe.test.ts: what the client does with a probe: it asks, and stops before it would transmit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld, type RequestWords } from "./testdata/world.ts";

const HOST = "127.0.0.1[127.0.0.1]";
const PIPELINED = ["PIPELINING", "ENHANCEDSTATUSCODES"];

interface Row {
  readonly why: string;
  readonly script?: PeerScript;
  readonly settings?: Record<string, string>;
  readonly words?: Partial<RequestWords>;
  readonly want: readonly string[];
  readonly commands: readonly string[];
}

const refusing =
  (pattern: RegExp, text: string): NonNullable<PeerScript["answer"]> =>
  (command) =>
    pattern.test(command) ? text : undefined;

const ROWS: readonly Row[] = [
  {
    why: "the reply to RCPT is the answer; no DATA follows",
    script: { answer: refusing(/^RCPT/, "250 2.1.5 Fine") },
    want: ["sent 2.1.5 250 2.1.5 Fine"],
    commands: ["EHLO", "MAIL", "RCPT"],
  },
  {
    why: "the same with PIPELINING: DATA is not sent ahead",
    script: { features: PIPELINED },
    want: ["sent 2.1.0 250 2.1.0 Ok"],
    commands: ["EHLO", "MAIL", "RCPT"],
  },
  {
    why: "each recipient has its own",
    script: { features: PIPELINED, answer: refusing(/^RCPT TO:<b@/, "550 5.1.1 No such user") },
    words: { recipients: ["a@dest.test", "b@dest.test"] },
    want: [
      "sent 2.1.0 250 2.1.0 Ok",
      `bounced 5.1.1 host ${HOST} said: 550 5.1.1 No such user (in reply to RCPT TO command)`,
    ],
    commands: ["EHLO", "MAIL", "RCPT", "RCPT"],
  },
  {
    why: "a sender that is not taken says nothing good of the recipient",
    script: { features: PIPELINED, answer: refusing(/^MAIL/, "451 4.7.1 Later") },
    want: [`deferred 4.7.1 host ${HOST} said: 451 4.7.1 Later (in reply to MAIL FROM command)`],
    commands: ["EHLO", "MAIL", "RCPT"],
  },
  {
    why: "smtp_address_verify_target = data asks once more, for servers that refuse there",
    script: { features: PIPELINED, answer: refusing(/^DATA/, "550 5.1.1 No such user") },
    settings: { smtp_address_verify_target: "data" },
    want: [`bounced 5.1.1 host ${HOST} said: 550 5.1.1 No such user (in reply to DATA command)`],
    commands: ["EHLO", "MAIL", "RCPT", "DATA"],
  },
  {
    why: "data: behind 354 the session ends without a message",
    script: { answer: refusing(/^DATA/, "354 Go on") },
    settings: { smtp_address_verify_target: "data" },
    want: ["sent 2.0.0 354 Go on"],
    commands: ["EHLO", "MAIL", "RCPT", "DATA"],
  },
  {
    why: "data: nothing to ask for when no recipient is taken",
    script: { answer: refusing(/^RCPT/, "550 5.1.1 No") },
    settings: { smtp_address_verify_target: "data" },
    want: [`bounced 5.1.1 host ${HOST} said: 550 5.1.1 No (in reply to RCPT TO command)`],
    commands: ["EHLO", "MAIL", "RCPT"],
  },
];

for (const { why, script = {}, settings = {}, words = {}, want, commands } of ROWS) {
  test(`an address probe: ${why}`, async () => {
    const peer = await FakePeer.start(script);
    const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings });
    try {
      const outcomes = await world.deliver({ ...words, probe: true });
      assert.deepEqual(
        outcomes.map(({ kind, dsn, text }) => `${kind} ${dsn} ${text}`),
        want,
      );
      assert.deepEqual(
        peer.commands().map((command) => command.slice(0, 4)),
        commands,
      );
      assert.equal(peer.messages.length, 0);
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  });
}

test("a session that carried a probe is reset before it carries mail", async () => {
  const peer = await FakePeer.start();
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}` });
  try {
    await world.deliver({ probe: true });
    const [mail] = await world.deliver({});
    assert.equal(mail?.kind, "sent");
    assert.deepEqual(
      peer.commands(1).map((command) => command.slice(0, 4)),
      ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"],
    );
    assert.equal(peer.messages.length, 1);
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});
