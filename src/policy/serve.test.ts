/** Tests of policy/serve.ts: servers made of handlers, asked over real sockets. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { dunno, type PolicyHandler, reject, type ServeOptions, serve, testPolicy } from "./library.ts";

const directory = mkdtempSync(join(tmpdir(), "policy-"));
after(() => rmSync(directory, { recursive: true }));

const request = (sender: string) => `request=smtpd_access_policy\nprotocol_state=RCPT\nsender=${sender}\n\n`;

/** A running server, its log, and a way to ask it. */
async function start(handler: PolicyHandler, more: Partial<ServeOptions> = {}) {
  const log: string[] = [];
  const server = await serve(handler, { listen: "127.0.0.1:0", log: (line) => void log.push(line), ...more });
  return {
    log,
    server,
    connect: () => {
      const [, port = ""] = /:(\d+)$/.exec(server.address) ?? [];
      return server.address.startsWith("unix:")
        ? net.connect(server.address.slice(5))
        : net.connect(Number(port), "127.0.0.1");
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** Sends bytes, ends, and gives all that comes back. */
async function exchange(socket: net.Socket, text: string): Promise<string> {
  socket.end(text);
  let got = "";
  for await (const chunk of socket) got += String(chunk);
  return got;
}

describe("serve()", { timeout: 20_000 }, () => {
  test("answers in the order of the requests, whichever is decided first", async () => {
    await using policy = await start(async ({ sender }) => {
      await sleep(sender === "1" ? 60 : 1);
      return reject(sender);
    });
    const got = await exchange(policy.connect(), ["1", "2", "3"].map(request).join(""));
    assert.equal(got, "action=REJECT 1\n\naction=REJECT 2\n\naction=REJECT 3\n\n");
  });

  test("reads requests byte by byte", async () => {
    await using policy = await start(({ sender }) => reject(sender));
    const socket = policy.connect();
    for (const byte of Buffer.from(request("f\u00fc@b.test"))) {
      socket.write(Buffer.of(byte));
      await sleep(0);
    }
    assert.equal(await exchange(socket, ""), "action=REJECT f\u00fc@b.test\n\n");
  });

  for (const c of [
    {
      why: "throws",
      handler: () => {
        throw new Error("broken\nhere");
      },
      told: "broken?here",
    },
    { why: "rejects", handler: async () => Promise.reject(new Error("down")), told: "down" },
    { why: "takes too long", handler: () => new Promise<string>(() => {}), told: "no decision within 100 ms" },
    { why: "answers two lines", handler: () => "OK\n\naction=OK", told: "line end" },
    { why: "answers nothing", handler: () => "", told: "empty" },
    { why: "answers no text", handler: () => undefined as unknown as string, told: "empty" },
  ] satisfies { why: string; handler: PolicyHandler; told: string }[]) {
    test(`a handler that ${c.why} gives the default action and a line in the log`, async () => {
      await using policy = await start(c.handler, { timeoutMs: 100, defaultAction: "450 4.3.0 Try later" });
      assert.equal(await exchange(policy.connect(), request("a")), "action=450 4.3.0 Try later\n\n");
      assert.equal(policy.log.length, 1);
      assert.match(policy.log[0] ?? "", /^policy: handler failed: .*; answered 450 4\.3\.0 Try later$/);
      assert.ok(policy.log[0]?.includes(c.told), policy.log[0]);
    });
  }

  test("the default of the default does not let anything pass", async () => {
    await using policy = await start(() => "");
    assert.match(await exchange(policy.connect(), request("a")), /^action=DEFER_IF_PERMIT 4\.3\.5 /);
  });

  test("a handler is told when its time is over", async () => {
    let aborted = false;
    const handler: PolicyHandler = (_, signal) =>
      new Promise(() => signal.addEventListener("abort", () => (aborted = true)));
    await using policy = await start(handler, { timeoutMs: 50 });
    await exchange(policy.connect(), request("a"));
    assert.ok(aborted);
  });

  test("no more than maxInFlight requests of a connection are decided at once", async () => {
    let [running, most] = [0, 0];
    const handler: PolicyHandler = async ({ sender }) => {
      most = Math.max(most, ++running);
      await sleep(5);
      running--;
      return reject(sender);
    };
    await using policy = await start(handler, { maxInFlight: 3 });
    const senders = Array.from({ length: 40 }, (_, i) => String(i));
    const got = await exchange(policy.connect(), senders.map(request).join(""));
    assert.equal(got, senders.map((sender) => `action=REJECT ${sender}\n\n`).join(""));
    assert.equal(most, 3);
  });

  test("what is no request is logged and closes the connection, after the answers before it", async () => {
    await using policy = await start(() => dunno());
    assert.equal(
      await exchange(policy.connect(), `${request("a")}GET / HTTP/1.1\n\n${request("b")}`),
      "action=DUNNO\n\n",
    );
    assert.match(policy.log.join("\n"), /^policy: malformed request: line without name=value: "GET/);
    assert.equal(await exchange(policy.connect(), "x=y\n".repeat(500)), "", "endless");
    assert.equal(await exchange(policy.connect(), "x".repeat(100_000)), "", "without a line end, unanswered");
  });

  test("connections beyond maxConnections are closed", async () => {
    await using policy = await start(() => dunno(), { maxConnections: 1 });
    const first = policy.connect();
    first.write(request("a"));
    await new Promise((resolve) => first.once("data", resolve));
    const second = policy.connect();
    second.on("error", () => {});
    await new Promise((resolve) => second.once("close", resolve));
    assert.equal(await exchange(first, request("a")), "action=DUNNO\n\n");
  });

  test("close() answers what was asked and ends waiting connections", async () => {
    const policy = await start(async () => {
      await sleep(50);
      return dunno();
    });
    const idle = policy.connect();
    const busy = exchange(policy.connect(), request("a"));
    await sleep(20);
    await policy.server.close();
    assert.equal(await busy, "action=DUNNO\n\n");
    idle.destroy();
  });

  test("listens on a path, with its mode, and takes the place of a dead server only", async () => {
    const path = join(directory, "socket");
    const policy = await start(() => dunno(), { listen: path, socketMode: 0o666 });
    assert.equal(policy.server.address, `unix:${path}`);
    assert.equal(statSync(path).mode & 0o777, 0o666);
    assert.equal(await exchange(policy.connect(), request("a")), "action=DUNNO\n\n");
    await assert.rejects(
      serve(() => dunno(), { listen: path }),
      /EADDRINUSE/,
    );
    await policy.server.close();
    assert.ok(!existsSync(path));
    const file = join(directory, "file");
    writeFileSync(file, "precious");
    await assert.rejects(
      serve(() => dunno(), { listen: file }),
      /EADDRINUSE/,
    );
    assert.ok(existsSync(file), "no socket, so it stays");
  });

  test("bad options are told at once", async () => {
    await assert.rejects(
      serve(() => dunno(), { listen: "relative/path" }),
      /Cannot listen on/,
    );
    await assert.rejects(
      serve(() => dunno(), { listen: "127.0.0.1:0", defaultAction: "a\nb" }),
      /line end/,
    );
  });
});

test("testPolicy() gives the action of a handler, or its mistake", async () => {
  assert.equal(await testPolicy(({ protocol_state }) => reject(protocol_state)), "REJECT RCPT");
  assert.equal(await testPolicy((query) => reject(String(query.recipientCount)), { recipient_count: "7" }), "REJECT 7");
  await assert.rejects(
    testPolicy(() => ""),
    /empty/,
  );
});
