/** net/testdata/line-peer.ts: a server for line protocols, for tests: answers lines as a test says, in chunks as small as
 *  a test says. The network edge, not a model of any real server. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface PeerConnection {
  /** Sends text as it is, a byte at a time if the peer was told so. */
  send(text: string): void;
  drop(): void;
}

export interface LinePeer {
  /** Path of the unix socket, or undefined over TCP. */
  readonly path: string;
  /** Port over TCP, else 0. */
  readonly port: number;
  /** Every line received, over all connections. */
  readonly lines: string[];
  readonly connections: number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface LinePeerOptions {
  readonly tcp?: boolean;
  readonly chunked?: boolean;
  readonly onConnect?: (connection: PeerConnection) => void;
  readonly onLine?: (line: string, connection: PeerConnection) => void;
}

/** A listening peer that ends with the test. */
export async function startLinePeer(t: TestContext, options: LinePeerOptions): Promise<LinePeer> {
  const directory = await mkdtemp(join(tmpdir(), "postern-peer-"));
  const path = join(directory, "auth");
  const sockets = new Set<Socket>();
  const lines: string[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket.setNoDelay(true));
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => sockets.delete(socket));
    serve(socket, lines, options);
  });
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  let port = 0;
  const start = () =>
    new Promise<void>((resolve) => {
      const listening = () => {
        const address = server.address();
        port = typeof address === "object" && address !== null ? address.port : 0;
        resolve();
      };
      if (options.tcp) server.listen(port, "127.0.0.1", listening);
      else server.listen(path, listening);
    });
  await start();
  t.after(async () => {
    if (server.listening) await stop();
    await rm(directory, { recursive: true });
  });
  return { path, lines, stop, start, get port() { return port; }, get connections() { return connections; } };
}

function serve(socket: Socket, lines: string[], options: LinePeerOptions): void {
  const connection: PeerConnection = {
    send: (text) => {
      if (options.chunked) void trickle(socket, Buffer.from(text));
      else socket.write(text);
    },
    drop: () => socket.destroy(),
  };
  options.onConnect?.(connection);
  let rest = "";
  socket.on("data", (chunk) => {
    const parts = (rest + chunk.toString("utf8")).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      lines.push(line);
      options.onLine?.(line, connection);
    }
  });
}

async function trickle(socket: Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    if (socket.destroyed) return;
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
}
