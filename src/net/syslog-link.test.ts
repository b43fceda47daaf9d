import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { systemClock } from "../base/clock.ts";
import { makeSelfSigned } from "./self-signed.ts";
import { SyslogLink } from "./syslog-link.ts";

const made = makeSelfSigned(["localhost"], Date.now());
type Transport = "udp" | "tcp" | "tls";

interface Receiver {
  readonly port: number;
  /** Resolves when this much has come. */
  got(text: string): Promise<void>;
  close(): void;
}

async function receiver(transport: Transport, port = 0): Promise<Receiver> {
  let text = "";
  const waiters = new Set<() => void>();
  const take = (chunk: Buffer) => {
    text += chunk.toString();
    for (const check of waiters) check();
  };
  const got = (wanted: string) =>
    new Promise<void>((resolve) => {
      const check = () => text.includes(wanted) && (waiters.delete(check), resolve());
      waiters.add(check);
      check();
    });
  if (transport === "udp") {
    const socket = createSocket("udp4").on("message", take);
    await new Promise<void>((ready) => socket.bind(port, "127.0.0.1", ready));
    return { port: socket.address().port, got, close: () => socket.close() };
  }
  const open = new Set<net.Socket>();
  const serve = (socket: net.Socket) => {
    open.add(socket.on("data", take).on("error", () => socket.destroy()));
  };
  const server =
    transport === "tls"
      ? tls.createServer({ key: made.keyPem, cert: made.certificatePem }, serve)
      : net.createServer(serve);
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((ready) => server.listen(port, "127.0.0.1", ready));
  const close = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return { port: (server.address() as net.AddressInfo).port, got, close };
}

function linkTo(transport: Transport, port: number, authorities?: string) {
  const states: (string | undefined)[] = [];
  let changed: () => void = () => undefined;
  const link = new SyslogLink({
    server: { transport, host: "localhost", port },
    authorities,
    clock: systemClock,
    onState: (why) => {
      states.push(why);
      changed();
    },
  });
  const nextState = () => new Promise<void>((resolve) => (changed = resolve));
  return { link, states, nextState };
}

for (const transport of ["udp", "tcp", "tls"] as const) {
  test(`SyslogLink sends over ${transport} what came before and after the connection`, {
    timeout: 10_000,
  }, async () => {
    const server = await receiver(transport);
    const { link, states } = linkTo(transport, server.port, made.certificatePem);
    assert.ok(link.send(Buffer.from("one ")));
    await server.got("one ");
    assert.ok(link.send(Buffer.from("two ")));
    await link.close();
    await server.got("two ");
    assert.deepEqual(states, []);
    server.close();
  });
}

test("SyslogLink trusts no TLS server that its authorities do not vouch for", { timeout: 10_000 }, async () => {
  const server = await receiver("tls");
  const { link, states, nextState } = linkTo("tls", server.port);
  link.send(Buffer.from("secret"));
  await nextState();
  assert.match(states[0] ?? "", /self-signed certificate/);
  await link.close();
  server.close();
});

test("SyslogLink keeps messages while the server is away, refuses above its bound, and tells once", {
  timeout: 10_000,
}, async () => {
  const first = await receiver("tcp");
  const { port } = first;
  first.close();
  const { link, states, nextState } = linkTo("tcp", port);
  await nextState();
  assert.match(states[0] ?? "", /ECONNREFUSED/);
  const mebibyte = Buffer.alloc(1024 * 1024, "x");
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => link.send(mebibyte)),
    [true, true, true, true, false],
  );
  const second = await receiver("tcp", port);
  await nextState();
  assert.deepEqual(states.slice(1), [undefined]);
  await second.got("x".repeat(4 * 1024 * 1024));
  assert.ok(link.send(Buffer.from("again")));
  await second.got("again");
  await link.close();
  second.close();
});
