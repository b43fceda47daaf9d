/** The load generator and the sink, tested against each other and against servers that misbehave. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { generateLoad, type LoadOptions } from "./load/generator.ts";
import { type Sink, type SinkOptions, startSink } from "./load/sink.ts";

const cert = readFileSync(new URL("./testdata/load-cert.pem", import.meta.url));
const key = readFileSync(new URL("./testdata/load-key.pem", import.meta.url));

async function sinkFor(t: TestContext, options: SinkOptions = {}): Promise<Sink> {
  const sink = await startSink(options);
  t.after(() => sink.close());
  return sink;
}

const CASES: { why: string; sink?: SinkOptions; load: Partial<LoadOptions>; connections?: number }[] = [
  { why: "one message per connection", load: { sessions: 3, messages: 20 }, connections: 20 },
  { why: "many messages per connection", load: { sessions: 2, messages: 50, perConnection: 25 } },
  {
    why: "all messages on one connection",
    load: { messages: 50, perConnection: Number.POSITIVE_INFINITY },
    connections: 1,
  },
  { why: "more sessions than messages", load: { sessions: 9, messages: 2 }, connections: 2 },
  { why: "several recipients", load: { messages: 2, to: ["a@example.net", "b@example.net"] } },
  { why: "a big message", load: { messages: 2, sizeBytes: 3_000_000 } },
  { why: "AUTH", load: { messages: 2, auth: { login: "user", password: "secret" } } },
  {
    why: "STARTTLS",
    sink: { tls: { cert, key, mode: "starttls" } },
    load: { messages: 3, tls: "starttls" },
    connections: 3,
  },
  {
    why: "implicit TLS and AUTH",
    sink: { tls: { cert, key, mode: "implicit" } },
    load: { sessions: 2, messages: 6, tls: "implicit", auth: { login: "user", password: "secret" }, perConnection: 3 },
  },
];

for (const c of CASES) {
  test(`generateLoad() and startSink() ${c.why}`, async (t) => {
    const seen: string[] = [];
    const accepted: string[] = [];
    const sizes = new Set<number>();
    const record: SinkOptions["onMessage"] = async ({ id, bytes }) => {
      await new Promise(setImmediate);
      sizes.add(bytes);
      seen.push(id ?? "none");
    };
    const sink = await sinkFor(t, { ...c.sink, onMessage: record });
    const messages = c.load.messages ?? 1;
    const result = await generateLoad({
      ...c.load,
      port: sink.port,
      messages,
      onAccepted: (id) => {
        assert.ok(seen.includes(id), "the sink knows the id before it acknowledges");
        accepted.push(id);
      },
      onError: (reason) => assert.fail(reason),
    });
    assert.equal(result.accepted, messages);
    assert.equal(result.failed, 0);
    assert.equal(sink.counts.messages, messages);
    assert.equal(new Set(accepted).size, messages, "every id is new");
    assert.deepEqual([...sizes], [c.load.sizeBytes ?? 4096], "the size is the one asked for");
    if (c.connections !== undefined) assert.equal(result.connections, c.connections);
  });
}

test("startSink() without a callback counts", async (t) => {
  const sink = await sinkFor(t);
  await generateLoad({ port: sink.port, messages: 30, perConnection: 10 });
  assert.deepEqual(sink.counts, { messages: 30, bytes: 30 * 4096, connections: 3 });
});

test("startSink() answers 451 when the callback fails, and the generator counts that as failed", async (t) => {
  const reasons: string[] = [];
  const sink = await sinkFor(t, { onMessage: () => Promise.reject(new Error("full")) });
  const result = await generateLoad({
    port: sink.port,
    messages: 2,
    perConnection: 2,
    onError: (r) => reasons.push(r),
  });
  assert.equal(result.accepted, 0);
  assert.equal(result.failed, 2);
  assert.deepEqual(reasons, ["451 4.3.0 Not recorded", "451 4.3.0 Not recorded"]);
});

/** Two pipelined messages: a dot-stuffed line, and an empty one. */
const DIALOGUE =
  "EHLO a\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\nX-Load-Id: one\r\n\r\n..\r\nab\r\n.\r\n" +
  "MAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\n.\r\nQUIT\r\n";

for (const size of [1, 2, 3, 5, 7, 1000]) {
  test(`startSink() reads the same from chunks of ${size} bytes`, async (t) => {
    const seen: unknown[] = [];
    const sink = await sinkFor(t, { onMessage: (message) => void seen.push(message) });
    const client = connect(sink.port, "127.0.0.1");
    client.setNoDelay(true);
    let answers = "";
    client.on("data", (chunk) => {
      answers += chunk.toString();
    });
    for (let at = 0; at < DIALOGUE.length; at += size) {
      client.write(DIALOGUE.slice(at, at + size));
      await new Promise(setImmediate);
    }
    await once(client, "close");
    const codes = [...answers.matchAll(/^(\d{3}) /gm)].map((match) => match[1]);
    assert.deepEqual(codes, "220 250 250 250 354 250 250 250 354 250 221".split(" "));
    assert.deepEqual(seen, [
      { id: "one", bytes: 26 },
      { id: undefined, bytes: 0 },
    ]);
  });
}

/** A server that runs `script` for each connection, one function per line received. */
async function badServer(
  t: TestContext,
  onLine: (line: string, socket: Socket, connection: number) => string | undefined,
) {
  let connections = 0;
  const server = createServer((socket) => {
    const connection = connections++;
    socket.on("error", () => socket.destroy());
    socket.write("220 bad\r\n");
    socket.on("data", (chunk) => {
      for (const line of chunk.toString("latin1").split("\r\n").slice(0, -1)) {
        const answer = onLine(line, socket, connection);
        if (answer !== undefined && !socket.destroyed) socket.write(`${answer}\r\n`);
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const polite = (line: string): string | undefined => {
  if (/^(EHLO|MAIL|RCPT|RSET|\.$)/.test(line)) return "250 Ok";
  if (line === "DATA") return "354 Go";
  return line === "QUIT" ? "221 Bye" : undefined;
};

test("generateLoad() works without PIPELINING", async (t) => {
  const port = await badServer(t, polite);
  const result = await generateLoad({ port, messages: 3, perConnection: 3 });
  assert.deepEqual([result.accepted, result.connections], [3, 1]);
});

test("generateLoad() tries again after a cut connection and a 4xx, with a new id each time", async (t) => {
  const ids: string[] = [];
  const port = await badServer(t, (line, socket, connection) => {
    if (line.startsWith("X-Load-Id")) ids.push(line);
    if (connection === 0 && line === ".") return void socket.destroy();
    if (connection === 1 && line.startsWith("RCPT")) return "450 Later";
    return polite(line);
  });
  const reasons: string[] = [];
  const result = await generateLoad({ port, messages: 2, retry: true, onError: (reason) => reasons.push(reason) });
  assert.deepEqual([result.accepted, result.failed, result.retried], [2, 0, 2]);
  assert.equal(reasons.at(-1), "450 Later");
  assert.equal(new Set(ids).size, 3);
});

test("generateLoad() does not try a 5xx again", async (t) => {
  const port = await badServer(t, (line) => (line.startsWith("MAIL") ? "550 Never" : polite(line)));
  const result = await generateLoad({ port, messages: 2, retry: true });
  assert.deepEqual([result.accepted, result.failed, result.retried], [0, 2, 0]);
});

test("generateLoad() ends when aborted, though the server never answers", async (t) => {
  const port = await badServer(t, () => undefined);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  const result = await generateLoad({ port, messages: 5, sessions: 2, retry: true, signal: controller.signal });
  assert.equal(result.accepted, 0);
});
