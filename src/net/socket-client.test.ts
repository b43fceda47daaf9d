import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type LineSocket, openLineSocket, type SocketTarget } from "./socket-client.ts";
import { type LinePeer, startLinePeer } from "./testdata/line-peer.ts";

/** Opens a client whose events come out one by one. */
function open(t: TestContext, target: SocketTarget, limits: { line?: number; send?: number } = {}) {
  const events: string[] = [];
  let wake = () => {};
  const add = (event: string) => {
    events.push(event);
    wake();
  };
  const socket: LineSocket = openLineSocket({
    target,
    lineLimitBytes: limits.line ?? 100,
    sendLimitBytes: limits.send ?? 1000,
    onOpen: () => add("open"),
    onLine: (line) => add(`line ${line}`),
    onClose: (reason) => add(`close ${reason}`),
  });
  t.after(() => socket.close());
  const next = async () => {
    while (events.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return events.shift();
  };
  return { socket, next, events };
}

const unix = (peer: LinePeer): SocketTarget => ({ kind: "unix", path: peer.path });

for (const tcp of [false, true]) {
  test(`openLineSocket() sends and receives lines over ${tcp ? "TCP" : "unix"}, a byte at a time`, async (t) => {
    const peer = await startLinePeer(t, {
      tcp,
      chunked: true,
      onLine: (line, connection) => connection.send(`got ${line}\r\nzwölf\n\n`),
    });
    const { socket, next } = open(t, tcp ? { kind: "tcp", host: "127.0.0.1", port: peer.port } : unix(peer));
    assert.equal(await next(), "open");
    socket.send("hällo");
    assert.deepEqual([await next(), await next(), await next()], ["line got hällo", "line zwölf", "line "]);
  });
}

test("openLineSocket() says why it cannot connect", async (t) => {
  const { next, events } = open(t, { kind: "unix", path: "/nonexistent/auth" });
  assert.deepEqual(events, [], "never before it returns");
  assert.equal(await next(), "close No such file or directory");
});

test("openLineSocket() ends at a line over the limit and delivers nothing after it", async (t) => {
  const peer = await startLinePeer(t, { onConnect: (c) => c.send(`${"x".repeat(100)}\n${"y".repeat(101)}\nz\n`) });
  const { next, events } = open(t, unix(peer));
  assert.deepEqual(
    [await next(), await next(), await next()],
    ["open", `line ${"x".repeat(100)}`, "close line too long"],
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(events, []);
});

test("openLineSocket() tells of the peer's end once", async (t) => {
  const peer = await startLinePeer(t, { onLine: (_, connection) => connection.drop() });
  const { socket, next, events } = open(t, unix(peer));
  await next();
  socket.send("x");
  assert.match((await next()) ?? "", /^close /);
  socket.send("into the void");
  assert.deepEqual(events, []);
});

test("openLineSocket() does not hoard what the peer does not read", async (t) => {
  const peer = await startLinePeer(t, {});
  const { socket, next } = open(t, unix(peer), { send: 10 });
  await next();
  socket.send("0123456789a");
  assert.equal(await next(), "close peer does not read");
});

test("openLineSocket() is silent after close(), and refuses a line end inside a line", async (t) => {
  const peer = await startLinePeer(t, { onLine: (_, connection) => connection.send("late\n") });
  const { socket, next, events } = open(t, unix(peer));
  await next();
  assert.throws(() => socket.send("a\nb"), /line end/);
  socket.send("x");
  socket.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(events, []);
});
