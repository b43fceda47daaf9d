/** smtp/generic.test.ts: smtp_generic_maps as the next hop sees it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakePeer } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";

const TABLE = { "in@here.test": "out@far.test", "out@far.test": "never@far.test", "@lan.test": "box@far.test" };

async function delivered(
  words: { sender: string; recipients: readonly string[]; content: string | readonly Buffer[] },
  ref = "texthash:/g",
) {
  const peer = await FakePeer.start({ features: ["SIZE", "PIPELINING"] });
  const world = createWorld({
    nexthop: `[127.0.0.1]:${peer.port}`,
    settings: { smtp_generic_maps: ref },
    tables: { "texthash:/g": TABLE },
    protocol: "smtp",
  });
  try {
    const outcomes = await world.deliver(words);
    return { outcomes, commands: peer.commands(), message: peer.messages[0]?.toString("latin1") };
  } finally {
    await world.agent.close();
    await peer.stop();
  }
}

const CONTENT =
  "From: Ann <in@here.test>\r\nTo: x@y.test,\r\n in@here.test\r\nSubject: in@here.test\r\n\r\nin@here.test\r\n";
const WANT =
  "From: Ann <out@far.test>\r\nTo: x@y.test,\r\n out@far.test\r\nSubject: in@here.test\r\n\r\nin@here.test\r\n";

for (const [why, content] of [
  ["in one piece", CONTENT],
  ["byte by byte", [...Buffer.from(CONTENT)].map((byte) => Buffer.from([byte]))],
] as const) {
  test(`generic maps change envelope and header, one step, and SIZE with them: ${why}`, async () => {
    const { outcomes, commands, message } = await delivered({
      sender: "in@here.test",
      recipients: ["u@lan.test", "x@y.test"],
      content,
    });
    assert.deepEqual(
      outcomes.map(({ kind, recipientId }) => `${kind} ${recipientId}`),
      ["sent 1", "sent 2"],
    );
    const envelope = commands.filter((command) => /^(?:MAIL|RCPT)/.test(command));
    assert.deepEqual(envelope, [
      `MAIL FROM:<out@far.test> SIZE=${WANT.length}`,
      "RCPT TO:<box@far.test>",
      "RCPT TO:<x@y.test>",
    ]);
    assert.equal(message, WANT);
  });
}

test("a generic map that cannot answer defers the mail", async () => {
  const { outcomes, commands } = await delivered(
    { sender: "a@b.test", recipients: ["x@y.test"], content: CONTENT },
    "texthash:/none",
  );
  assert.deepEqual(
    outcomes.map(({ kind, dsn, text }) => `${kind} ${dsn} ${text}`),
    ["deferred 4.3.0 smtp_generic_maps map lookup problem"],
  );
  assert.deepEqual(commands, []);
});
