import assert from "node:assert/strict";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import type { ServiceEntry } from "../config/snapshot.ts";
import { makeSelfSigned } from "../net/self-signed.ts";
import { SessionCaps } from "./session-caps.ts";

const leases = { ask: () => assert.fail("one worker asks nobody"), release: () => undefined };
const service = (maxproc: number | undefined, command = "smtpd") =>
  ({ services: [{ name: "25", type: "inet", command, maxproc } as ServiceEntry] }) as const;

/** Caps behind a real listener; sessions and refusals in order. */
async function setUp(t: TestContext, configured: ReturnType<typeof service>) {
  const caps = new SessionCaps({ workers: 1, leases });
  caps.configure(configured);
  const sessions: net.Socket[] = [];
  const clients: net.Socket[] = [];
  let refused = 0;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const start = () => {
      sessions.push(socket);
      socket.on("error", () => socket.destroy());
      socket.on("end", () => socket.destroy()).resume();
    };
    if (caps.admit("25", socket, start)) return;
    refused++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of [...clients, ...sessions]) socket.destroy();
    caps.close();
    server.close();
  });
  const connect = async () => {
    const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
    client.on("error", () => client.destroy());
    clients.push(client);
    await new Promise((resolve) => client.once("connect", resolve));
    return client;
  };
  return { caps, sessions, connect, refused: () => refused };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await sleep(5);
  assert.ok(condition());
}

for (const [why, configured] of [
  ["- is no cap", service(undefined)],
  ["0 is no cap", service(0)],
  ["postscreen's 1 is one process for all", service(1, "postscreen")],
] as const) {
  test(`SessionCaps ${why}`, async (t) => {
    const { sessions, connect } = await setUp(t, configured);
    for (let i = 0; i < 5; i++) await connect();
    await until(() => sessions.length === 5);
  });
}

test("SessionCaps lets one wait for the end of another; a client that has gone loses its place", async (t) => {
  const { sessions, connect } = await setUp(t, service(1));
  const first = await connect();
  const gone = await connect();
  await connect();
  await sleep(20);
  assert.equal(sessions.length, 1);
  gone.resetAndDestroy();
  await sleep(20);
  first.destroy();
  await until(() => sessions.length === 2);
  assert.equal(sessions[1]?.destroyed, false);
});

test("SessionCaps sees the end of a session over TLS", async (t) => {
  const { sessions, connect } = await setUp(t, service(1));
  const client = await connect();
  await until(() => sessions.length === 1);
  const { keyPem, certificatePem } = makeSelfSigned(["localhost"], Date.now());
  const secureContext = tls.createSecureContext({ key: keyPem, cert: certificatePem });
  const secured = new tls.TLSSocket(sessions[0] ?? assert.fail(), { isServer: true, secureContext });
  secured.on("error", () => secured.destroy());
  secured.on("end", () => secured.destroy()).resume();
  const secure = tls.connect({ socket: client, rejectUnauthorized: false });
  await new Promise((resolve) => secure.once("secureConnect", resolve));
  await connect();
  secure.end();
  await until(() => sessions.length === 2);
});

test("SessionCaps turns away when a hundred wait, and starts all when the cap is lifted", async (t) => {
  const { caps, sessions, connect, refused } = await setUp(t, service(1));
  for (let i = 0; i < 102; i++) await connect();
  await until(() => refused() === 1);
  assert.equal(sessions.length, 1);
  caps.configure(service(3));
  assert.equal(sessions.length, 3);
  caps.configure(service(undefined));
  assert.equal(sessions.length, 101);
});
