/** Tests of policy/client.ts and its connections, against servers that answer, misbehave or are not there. */
import assert from "node:assert/strict";
import type net from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { composeRequest } from "./attributes.ts";
import { createPolicyServers, PolicyClient, unreachableService } from "./client.ts";
import { parseServiceSettings, type ServiceSettings } from "./service-settings.ts";
import { FakeServer } from "./testdata/fake-server.ts";

const REQUEST = composeRequest({ protocol_state: "RCPT", sender: "a@b.test" });

interface Bench {
  readonly client: PolicyClient;
  readonly warnings: string[];
}

function clientOf(port: number, more: Partial<ServiceSettings> = {}): Bench {
  const warnings: string[] = [];
  const log = new Log({
    sink: ({ severity, text }) => void warnings.push(severity === "warning" ? text.replaceAll(String(port), "P") : ""),
    now: () => 0,
    tag: "t",
    id: 1,
  });
  const settings = {
    ...parseServiceSettings(`inet:127.0.0.1:${port}`, parametersOf({})),
    timeoutMs: 2000,
    tryLimit: 1,
    retryDelayMs: 10,
    utf8: true,
    ...more,
  };
  return {
    client: new PolicyClient(settings, { clock: systemClock, deadlines: new Deadlines(systemClock), log }),
    warnings,
  };
}

const ok = (socket: net.Socket) => void socket.write("action=DUNNO\n\n");

describe("PolicyClient", { timeout: 20_000 }, () => {
  test("keeps its connection for further requests", async () => {
    await using server = await FakeServer.answering(ok);
    const { client, warnings } = clientOf(server.port);
    for (let i = 0; i < 3; i++) assert.deepEqual(await client.ask(REQUEST), { kind: "answer", action: "DUNNO" });
    assert.deepEqual([server.connections, server.requests, warnings], [1, 3, []]);
    client.close();
  });

  test("sends the request as lines and an empty one", async () => {
    let got = "";
    await using server = await FakeServer.start((socket) => {
      socket.on("data", (chunk) => {
        got += chunk.toString("latin1");
        if (got.endsWith("\n\n")) ok(socket);
      });
    });
    const { client } = clientOf(server.port);
    await client.ask(REQUEST);
    assert.match(
      got,
      /^request=smtpd_access_policy\nprotocol_state=RCPT\n[\s\S]*sender=a@b\.test\n[\s\S]*mail_version=\n\n$/,
    );
    client.close();
  });

  const hostile: readonly {
    readonly why: string;
    readonly serve: (socket: net.Socket) => void;
    readonly want: RegExp;
    readonly warning: string;
    readonly timeoutMs?: number;
  }[] = [
    {
      why: "hangs",
      serve: () => {},
      timeoutMs: 300,
      want: /Connection timed out/,
      warning: "timeout on 127.0.0.1:P while reading input attribute name",
    },
    {
      why: "closes without an answer",
      serve: (socket) => socket.end(),
      want: /connection closed/,
      warning: "premature end-of-input on 127.0.0.1:P while reading input attribute name",
    },
    {
      why: "closes within its answer",
      serve: (socket) => socket.end("action=DUNNO\n"),
      want: /connection closed/,
      warning: "premature end-of-input on 127.0.0.1:P while reading input attribute name",
    },
    {
      why: "resets the connection",
      serve: (socket) => socket.resetAndDestroy(),
      want: /Connection reset by peer/,
      warning: "premature end-of-input on 127.0.0.1:P while reading input attribute name",
    },
    {
      why: "speaks another protocol",
      serve: (socket) => socket.write("HTTP/1.0 400 Bad Request\r\nServer: x\r\n\r\n"),
      want: /malformed answer/,
      warning: "missing attribute action in input from 127.0.0.1:P",
    },
    {
      why: "sends 1 MB on one line",
      serve: (socket) => socket.write(`action=${"x".repeat(1024 * 1024)}\n\n`),
      want: /line too long/,
      warning: "string length > 2048 characters from 127.0.0.1:P while reading input attribute value",
    },
    {
      why: "sends 1 MB of attributes",
      serve: (socket) => socket.write("x=y\n".repeat(256 * 1024)),
      want: /malformed answer/,
      warning: "answer too long from 127.0.0.1:P",
    },
    {
      why: "sends bytes for ever without a line end",
      serve: (socket) => {
        const timer = setInterval(() => socket.write("a"), 20);
        socket.on("close", () => clearInterval(timer));
      },
      timeoutMs: 400,
      want: /Connection timed out/,
      warning: "timeout on 127.0.0.1:P while reading input attribute name",
    },
    {
      why: "answers what is not UTF-8",
      serve: (socket) => socket.write(Buffer.from("action=REJECT \xe9\n\n", "latin1")),
      want: /malformed answer/,
      warning: 'malformed UTF-8 in policy server 127.0.0.1:P response: "REJECT ?"',
    },
    {
      why: "answers nothing but an empty action",
      serve: (socket) => socket.write("action=\n\n"),
      want: /malformed answer/,
      warning: "empty attribute action in input from 127.0.0.1:P",
    },
  ];
  for (const c of hostile) {
    test(`ask() fails in time and says why when the server ${c.why}`, async () => {
      await using server = await FakeServer.answering(c.serve);
      const { client, warnings } = clientOf(server.port, { timeoutMs: c.timeoutMs ?? 2000 });
      const began = performance.now();
      const answer = await client.ask(REQUEST);
      assert.ok(performance.now() - began < (c.timeoutMs ?? 1000) + 1000, "within its time");
      assert.equal(answer.kind, "failed");
      const why = answer.kind === "failed" ? answer.why : "";
      assert.match(why, c.want);
      assert.deepEqual(warnings, [c.warning, `problem talking to server 127.0.0.1:P: ${why}`]);
      assert.equal(client.connections, 0, "nothing is kept of it");
      client.close();
    });
  }

  test("takes an answer that comes byte by byte", async () => {
    await using server = await FakeServer.answering(async (socket) => {
      for (const byte of Buffer.from("junk=1\r\naction=REJECT 5.7.1 f\u00fcr Sie\r\n\r\n")) {
        socket.write(Buffer.of(byte));
        await sleep(1);
      }
    });
    const { client, warnings } = clientOf(server.port);
    assert.deepEqual(await client.ask(REQUEST), { kind: "answer", action: "REJECT 5.7.1 f\u00fcr Sie" });
    assert.deepEqual(warnings, ["unexpected attribute junk from 127.0.0.1:P (expecting: action)"]);
    client.close();
  });

  test("two answers to one request: the second is nobody's", async () => {
    await using server = await FakeServer.answering((socket, nth) =>
      socket.write(`action=REJECT ${nth}\n\naction=OK stale\n\n`),
    );
    const { client } = clientOf(server.port);
    for (let i = 1; i <= 4; i++) {
      assert.deepEqual(await client.ask(REQUEST), { kind: "answer", action: `REJECT ${i}` });
    }
    assert.equal(server.connections, 4, "a connection with a rest is not used again");
    client.close();
  });

  test("an answer that nobody asked for ends a waiting connection", async () => {
    await using server = await FakeServer.answering(ok);
    const { client } = clientOf(server.port);
    await client.ask(REQUEST);
    for (const socket of server.sockets) socket.write("action=OK\n\n");
    for (let i = 0; i < 100 && client.connections > 0; i++) await sleep(10);
    assert.equal(client.connections, 0);
    client.close();
  });

  test("a request that fails on a used connection is sent again at once, and is no try", async () => {
    await using server = await FakeServer.answering((socket, nth) => (nth === 2 ? socket.destroy() : ok(socket)));
    const { client, warnings } = clientOf(server.port, { tryLimit: 1, retryDelayMs: 60_000 });
    await client.ask(REQUEST);
    assert.equal((await client.ask(REQUEST)).kind, "answer");
    assert.deepEqual([server.connections, server.requests, warnings], [2, 3, []]);
    client.close();
  });

  test("tries try_limit times, retry_delay apart", async () => {
    await using server = await FakeServer.answering((socket, nth) => (nth < 3 ? socket.destroy() : ok(socket)));
    const two = clientOf(server.port, { tryLimit: 2 });
    assert.equal((await two.client.ask(REQUEST)).kind, "failed");
    assert.equal(two.warnings.length, 4);
    assert.equal((await two.client.ask(REQUEST)).kind, "answer", "the third");
    two.client.close();
  });

  test("a server that is not there is refused with Postfix's two warnings", async () => {
    const { port } = await gone();
    const { client, warnings } = clientOf(port);
    assert.deepEqual(await client.ask(REQUEST), { kind: "failed", why: "Connection refused" });
    assert.deepEqual(warnings, [
      "connect to 127.0.0.1:P: Connection refused",
      "problem talking to server 127.0.0.1:P: Connection refused",
    ]);
    client.close();
  });

  test("the time limit holds over all tries", async () => {
    const { port } = await gone();
    const { client } = clientOf(port, { timeoutMs: 300, tryLimit: 1000, retryDelayMs: 60_000 });
    const began = performance.now();
    assert.equal((await client.ask(REQUEST)).kind, "failed");
    assert.ok(performance.now() - began < 1500);
    client.close();
  });

  test("opens no more than connection_limit connections, and serves all that wait", async () => {
    await using server = await FakeServer.answering(async (socket) => {
      await sleep(10);
      ok(socket);
    });
    const { client } = clientOf(server.port, { connectionLimit: 3 });
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.ask(REQUEST)));
    assert.ok(answers.every(({ kind }) => kind === "answer"));
    assert.equal(server.connections, 3);
    client.close();
  });

  test("waiting requests survive the end of a connection", async () => {
    await using server = await FakeServer.answering((socket, nth) => (nth === 1 ? socket.destroy() : ok(socket)));
    const { client } = clientOf(server.port, { connectionLimit: 1 });
    const answers = await Promise.all(Array.from({ length: 5 }, () => client.ask(REQUEST)));
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      ["failed", "answer", "answer", "answer", "answer"],
    );
    client.close();
  });

  test("request_limit, max_idle and max_ttl end connections", async () => {
    await using server = await FakeServer.answering(ok);
    const limited = clientOf(server.port, { requestLimit: 2 });
    for (let i = 0; i < 4; i++) await limited.client.ask(REQUEST);
    assert.equal(server.connections, 2, "request_limit");
    const idle = clientOf(server.port, { maxIdleMs: 100 });
    await idle.client.ask(REQUEST);
    assert.equal(idle.client.connections, 1);
    await sleep(600);
    assert.equal(idle.client.connections, 0, "max_idle");
    const old = clientOf(server.port, { maxTtlMs: 100 });
    await old.client.ask(REQUEST);
    await sleep(600);
    assert.equal(old.client.connections, 0, "max_ttl");
    for (const { client } of [limited, idle, old]) client.close();
  });

  test("close() ends what is under way, without a warning", async () => {
    await using server = await FakeServer.answering(() => {});
    const { client, warnings } = clientOf(server.port, { connectionLimit: 1 });
    const asked = [client.ask(REQUEST), client.ask(REQUEST)];
    await sleep(50);
    client.close();
    assert.deepEqual(
      (await Promise.all(asked)).map(({ kind }) => kind),
      ["failed", "failed"],
    );
    assert.equal((await client.ask(REQUEST)).kind, "failed", "afterwards too");
    assert.deepEqual(warnings, []);
  });
});

test("createPolicyServers() gives one service for one argument", async () => {
  const log = new Log({ sink: () => {}, now: () => 0, tag: "t", id: 1 });
  const params = parametersOf({});
  const servers = createPolicyServers({ params, log, clock: systemClock, deadlines: new Deadlines(systemClock) });
  assert.equal(servers.open("inet:127.0.0.1:1"), servers.open("inet:127.0.0.1:1"));
  assert.notEqual(servers.open("inet:127.0.0.1:1"), servers.open("{ inet:127.0.0.1:1, timeout=1s }"));
  assert.throws(() => servers.open("nonsense"), /need service transport:endpoint/);
  assert.equal((await unreachableService("inet:127.0.0.1:1", params).ask(REQUEST)).kind, "failed");
  await servers.close();
});

/** A port where nobody listens. */
async function gone(): Promise<{ port: number }> {
  const server = await FakeServer.answering(() => {});
  const { port } = server;
  await server[Symbol.asyncDispose]();
  return { port };
}
