/** Tests of Connection over loopback sockets; STARTTLS and implicit TLS are covered by the dialogue tests. */
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { Connection, plainAddress } from "./connection.ts";

interface Pair {
  readonly connection: Connection;
  readonly peer: net.Socket;
  close(): Promise<void>;
}

async function connect(): Promise<Pair> {
  const deadlines = new Deadlines(systemClock);
  const server = net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
  const peer = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const connection = new Connection(await accepted, { deadlines, lineLimit: 100, implicitTls: false });
  return {
    connection,
    peer,
    async close() {
      peer.destroy();
      connection.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("Connection hands out lines, then raw chunks, then lines again", async () => {
  const { connection, peer, close } = await connect();
  assert.equal(connection.takeLine(), undefined);
  const ready = connection.wait(1000);
  peer.write("one\r\nraw bytesafter\r\n");
  assert.equal(await ready, "ready");
  assert.equal(connection.takeLine()?.text, "one");
  assert.equal(connection.inputPending, true);
  const chunk = connection.takeChunk();
  assert.equal(chunk?.toString(), "raw bytesafter\r\n");
  connection.putBack(Buffer.from("after\r\n"));
  assert.equal(connection.takeLine()?.text, "after");
  assert.equal(connection.inputPending, false);
  await close();
});

test("Connection sends gathered output in one write when it waits (PIPE-02, PIPE-04)", async () => {
  const { connection, peer, close } = await connect();
  const chunks: string[] = [];
  peer.on("data", (chunk) => chunks.push(chunk.toString()));
  connection.write("a\r\n");
  connection.write("b\r\n");
  await pause(10);
  assert.deepEqual(chunks, []);
  void connection.wait(1000);
  await pause(20);
  assert.deepEqual(chunks, ["a\r\nb\r\n"]);
  await close();
});

test("Connection tells timeout, end and interruption apart", async () => {
  const { connection, peer, close } = await connect();
  assert.equal(await connection.wait(1), "timeout");
  const waiting = connection.wait(1000);
  connection.interrupt();
  assert.equal(await waiting, "interrupted");
  assert.equal(await connection.wait(1000), "interrupted");
  connection.clearInterrupt();
  const ending = connection.wait(1000);
  peer.end();
  assert.equal(await ending, "eof");
  assert.equal(await connection.wait(1000), "eof");
  await close();
});

test("Connection stops reading from a client that sends what nobody asked for", async () => {
  const { connection, peer, close } = await connect();
  const line = `${"x".repeat(62)}\r\n`;
  const total = 32 << 20;
  let taken = false;
  peer.write(Buffer.alloc(total, line), () => {
    taken = true;
  });
  await pause(100);
  assert.equal(taken, false);
  let lines = 0;
  while (lines < total / line.length) {
    if (connection.takeLine()) lines++;
    else assert.equal(await connection.wait(1000), "ready");
  }
  await close();
});

test("Connection.close() delivers the last words although input is unread", async () => {
  const { connection, peer, close } = await connect();
  let got = "";
  peer.on("data", (chunk) => {
    got += chunk.toString();
  });
  peer.write("unread\r\n".repeat(10_000));
  await pause(20);
  connection.write("last words\r\n");
  peer.once("end", () => peer.end());
  await connection.close();
  assert.equal(got, "last words\r\n");
  await close();
});

const addresses = [
  { in: "::ffff:192.0.2.1", want: "192.0.2.1", why: "IPv4-mapped" },
  { in: "fe80::1%eth0", want: "fe80::1", why: "zone" },
  { in: "2001:DB8::1", want: "2001:db8::1", why: "case" },
  { in: undefined, want: "unknown", why: "gone before we looked" },
];
for (const c of addresses) test(`plainAddress() ${c.why}`, () => assert.equal(plainAddress(c.in), c.want));
