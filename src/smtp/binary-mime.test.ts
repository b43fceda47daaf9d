/** Binary mail (BODY=BINARYMIME, RFC 3030) at the client: by BDAT as it is, or converted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import PostalMime from "postal-mime";
import type { TableOpener } from "../tables/table.ts";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld, type RequestWords } from "./testdata/world.ts";

const OCTETS = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const HEAD =
  "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n";
const PART =
  "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: binary\r\n\r\n";
const MESSAGE = Buffer.concat([Buffer.from(HEAD + PART), OCTETS, Buffer.from(".\r\n.\r\n\n\r\r\n--b--")]);
const DATA = Buffer.concat([OCTETS, Buffer.from(".\r\n.\r\n\n\r")]);
const SIGNED = Buffer.from(
  `${HEAD.replace("mixed", "signed")}${PART}\0\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n`,
);

interface Delivered {
  readonly outcomes: readonly string[];
  readonly commands: readonly string[];
  readonly message: Buffer | undefined;
}

async function deliver(
  script: PeerScript,
  words: Partial<RequestWords> = {},
  settings: Readonly<Record<string, string>> = {},
): Promise<Delivered> {
  const peer = await FakePeer.start(script);
  const nexthop = `[127.0.0.1]:${peer.port}`;
  const world = createWorld({ nexthop, settings, protocol: script.lmtp ? "lmtp" : "smtp" });
  try {
    const outcomes = await world.deliver({ body: "BINARYMIME", content: [MESSAGE], ...words });
    return {
      outcomes: outcomes.map(({ kind, dsn, text }) => (kind === "sent" ? kind : `${kind} ${dsn} ${text}`)),
      commands: peer.commands().filter((command) => !/^(?:EHLO|LHLO|QUIT)/.test(command)),
      message: peer.messages[0],
    };
  } finally {
    await world.agent.close();
    await peer.stop();
  }
}

const WHOLE = ["PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME", "SIZE 0"];
const TWO = ["a@dest.test", "b@dest.test"];

for (const features of [WHOLE, WHOLE.slice(1)]) {
  test(`BDAT-09: every octet arrives at a server with BINARYMIME: ${features[0]}`, async () => {
    const pieces = Array.from(MESSAGE, (_, i) => MESSAGE.subarray(i, i + 1));
    for (const content of [[MESSAGE], pieces]) {
      const { outcomes, commands, message } = await deliver({ features }, { recipients: TWO, content });
      assert.deepEqual(outcomes, ["sent", "sent"]);
      assert.deepEqual(commands, [
        `MAIL FROM:<sender@example.org> SIZE=${MESSAGE.length} BODY=BINARYMIME`,
        "RCPT TO:<a@dest.test>",
        "RCPT TO:<b@dest.test>",
        `BDAT ${MESSAGE.length} LAST`,
      ]);
      assert.deepEqual(message, MESSAGE);
    }
  });
}

test("BDAT-09: where header checks change the content, it goes in chunks as it comes", async () => {
  const settings = { smtp_header_checks: "inline:{none=IGNORE}" };
  const script = { features: WHOLE };
  const peer = await FakePeer.start(script);
  const world = createWorld({
    nexthop: `[127.0.0.1]:${peer.port}`,
    settings,
    opener: {
      open: (ref) => ({
        ref,
        partialKeys: false,
        get: (key) => (key.startsWith("From:") ? "PREPEND X: y" : undefined),
      }),
    },
  });
  try {
    await world.deliver({ body: "BINARYMIME", content: [MESSAGE.subarray(0, 100), MESSAGE.subarray(100)] });
    assert.deepEqual(peer.messages[0], Buffer.concat([Buffer.from("X: y\r\n"), MESSAGE]));
    assert.match(
      peer
        .commands()
        .filter((command) => command.startsWith("BDAT"))
        .join(),
      /^(?:BDAT \d+,)+BDAT 0 LAST$/,
    );
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});

for (const features of [["8BITMIME", "CHUNKING", "SIZE 0"], ["8BITMIME", "BINARYMIME"], ["CHUNKING"]]) {
  test(`BDAT-09: a server with ${features.join(" ")} only gets base64, and the same octets in it`, async () => {
    const { outcomes, commands, message = Buffer.alloc(0) } = await deliver({ features });
    assert.deepEqual(outcomes, ["sent"]);
    const body = features.includes("8BITMIME") ? " BODY=8BITMIME" : "";
    assert.equal(commands[0]?.replace(/ SIZE=\d+/, ""), `MAIL FROM:<sender@example.org>${body}`);
    assert.equal(commands.at(-1), "DATA");
    const size = Number(/ SIZE=(\d+)/.exec(commands[0] ?? "")?.[1] ?? Number.POSITIVE_INFINITY);
    assert.ok(size >= message.length, "SIZE= is not less than what comes");
    assert.ok(message.every((byte) => byte > 0 && byte < 128));
    assert.ok(
      message
        .toString()
        .split("\r\n")
        .every((line) => line.length <= 100),
    );
    const encoding = features.includes("8BITMIME") ? "8bit" : "7bit";
    assert.match(
      message.toString().split("\r\n\r\n")[0] ?? "",
      new RegExp(`^Content-Transfer-Encoding: ${encoding}$`, "m"),
    );
    const parsed = await PostalMime.parse(message);
    assert.deepEqual(Buffer.from(parsed.attachments[0]?.content as ArrayBuffer), DATA);
  });
}

test("BDAT-09: what cannot be converted without loss is returned, 5.6.3, and nothing is said of it to the server", async () => {
  const signed = await deliver({ features: ["8BITMIME"] }, { content: [SIGNED] });
  const why = "BINARYMIME is not offered by host 127.0.0.1[127.0.0.1], and the message cannot be converted";
  assert.deepEqual(signed.outcomes, [`bounced 5.6.3 ${why}: binary content within a signed part`]);
  assert.deepEqual(signed.commands, []);
  const off = await deliver({ features: ["8BITMIME"] }, {}, { disable_mime_output_conversion: "yes" });
  assert.deepEqual(off.outcomes, [`bounced 5.6.3 ${why}: disable_mime_output_conversion is set`]);
  assert.deepEqual((await deliver({ features: WHOLE }, { content: [SIGNED] })).message, SIGNED);
});

test("BDAT-09: LMTP: one reply for each recipient behind the last chunk", async () => {
  let said = 0;
  const answer = (command: string) => (command === "." && ++said === 2 ? "552 5.2.2 full" : undefined);
  const { outcomes, message } = await deliver({ features: WHOLE, lmtp: true, answer }, { recipients: TWO });
  assert.deepEqual(outcomes, [
    "sent",
    "bounced 5.2.2 host 127.0.0.1[127.0.0.1] said: 552 5.2.2 full (in reply to BDAT command)",
  ]);
  assert.deepEqual(message, MESSAGE);
});

/** Two messages over one session; the first `refused` command gets that answer. */
async function deliverTwice(refused: RegExp, settings: Readonly<Record<string, string>> = {}) {
  let done = false;
  const answer = (command: string) => {
    if (done || !refused.test(command)) return undefined;
    done = true;
    return "552 5.3.4 no";
  };
  const peer = await FakePeer.start({ features: WHOLE, answer });
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings, opener: NOTHING });
  try {
    const request: Partial<RequestWords> = { body: "BINARYMIME", content: [MESSAGE] };
    const outcomes = [await world.deliver(request), await world.deliver(request)];
    assert.deepEqual(
      outcomes.map(([outcome]) => outcome?.kind),
      ["bounced", "sent"],
    );
    assert.deepEqual(peer.messages, [MESSAGE]);
    return peer.commands().map((command) => command.replace(/^(?:(BDAT) \d+|(\w+)).*/, "$1$2"));
  } finally {
    await world.agent.close();
    await peer.stop();
  }
}

const NOTHING: TableOpener = { open: (ref) => ({ ref, partialKeys: false, get: () => undefined }) };

test("BDAT-09: no recipient, no chunk; a refused sender likewise; the session goes on", async () => {
  for (const refused of [/^MAIL/, /^RCPT/]) {
    assert.deepEqual(await deliverTwice(refused), ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "BDAT"]);
  }
});

test("BDAT-09: a chunk that is refused is the last one", async () => {
  const commands = await deliverTwice(/^chunk$/, { smtp_header_checks: "inline:x" });
  assert.deepEqual(commands.slice(0, 6), ["EHLO", "MAIL", "RCPT", "BDAT", "RSET", "MAIL"]);
});

test("BDAT-09: content that is shorter or longer than the queue says is not passed off as whole", async () => {
  for (const change of [-1, 1]) {
    const peer = await FakePeer.start({ features: WHOLE });
    const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}` });
    try {
      const [outcome] = await world.deliver({
        body: "BINARYMIME",
        content: [MESSAGE],
        sizeBytes: MESSAGE.length + change,
      });
      assert.equal(`${outcome?.kind} ${outcome?.dsn}`, "deferred 4.3.0");
      assert.deepEqual(peer.messages, []);
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  }
});

test("a message that is not declared binary goes as before, also to a server with BINARYMIME", async () => {
  const { commands } = await deliver({ features: WHOLE }, { body: "8BITMIME", content: "Subject: x\r\n\r\nb\r\n" });
  assert.deepEqual(commands, [
    "MAIL FROM:<sender@example.org> SIZE=17 BODY=8BITMIME",
    "RCPT TO:<one@dest.test>",
    "DATA",
  ]);
});
