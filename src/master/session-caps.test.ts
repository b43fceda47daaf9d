import assert from "node:assert/strict";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import type { ServiceEntry } from "../config/snapshot.ts";
import type { SlotAsk, SlotHolder, SlotLeases } from "../mail/slot-lease.ts";
import { makeSelfSigned } from "../net/self-signed.ts";
import { ManualClock } from "../qmgr/testdata/manual-clock.ts";
import { SessionCaps } from "./session-caps.ts";

const nobody = { ask: () => assert.fail("one worker asks nobody"), release: () => undefined };
const service = (maxproc: number | undefined, command = "smtpd") =>
  ({ services: [{ name: "25", type: "inet", command, maxproc } as ServiceEntry] }) as const;

/** Caps behind a real listener; sessions and refusals in order. */
async function setUp(t: TestContext, configured: ReturnType<typeof service>, leases?: SlotLeases) {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const warn = (text: string) => warnings.push(text);
  const caps = new SessionCaps({ workers: leases ? 2 : 1, leases: leases ?? nobody, clock, warn });
  caps.configure(configured);
  const sessions: net.Socket[] = [];
  const clients: net.Socket[] = [];
  const stress: boolean[] = [];
  let refused = 0;
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const start = (stressed: boolean) => {
      stress.push(stressed);
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
  return { caps, sessions, connect, refused: () => refused, stress, warnings, clock };
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

test("SessionCaps: under stress from the session that takes the last slot, for a thousand seconds", async (t) => {
  const { sessions, connect, stress, warnings, clock } = await setUp(t, service(2));
  const next = async () => {
    const client = await connect();
    await until(() => sessions.length === stress.length && sessions.at(-1)?.remotePort === client.localPort);
    return client;
  };
  const leave = async (client: net.Socket) => {
    client.destroy();
    await until(() => sessions.some((s) => s.destroyed && s.remotePort === undefined) || client.destroyed);
    await sleep(20);
  };
  await next();
  const second = await next();
  await leave(second);
  await clock.advance(900_000);
  const third = await next(); // takes the last slot again
  await leave(third);
  sessions[0]?.destroy();
  await sleep(20);
  await clock.advance(999_000);
  const fourth = await next();
  await leave(fourth);
  await clock.advance(1000);
  await next();
  assert.deepEqual(stress, [false, true, true, true, false]);
  assert.deepEqual(warnings, [
    'service "25" has reached its process limit "2": new clients may experience noticeable delays',
  ]);
});

test("SessionCaps: with several workers a session that waited a second for its slot tells of stress", async (t) => {
  const asks: [SlotAsk, SlotHolder][] = [];
  const leases = { ask: (ask: SlotAsk, holder: SlotHolder) => asks.push([ask, holder]), release: () => undefined };
  const { connect, stress, warnings, clock } = await setUp(t, service(9), leases);
  const grant = async (afterMs: number) => {
    await connect();
    await until(() => asks.length > 0);
    await clock.advance(afterMs);
    asks.shift()?.[1].granted(1);
  };
  await grant(999);
  await grant(1000);
  await grant(0);
  assert.deepEqual(stress, [false, true, true]);
  assert.equal(warnings.length, 1);
});
