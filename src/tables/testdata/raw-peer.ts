/** tables/testdata/raw-peer.ts: a TCP or unix server for tests that receives bytes and sends what a test says, a byte at a
 *  time if it says so. The network edge, not a model of any real server. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface RawConnection {
  send(bytes: string | Uint8Array): void;
  /** Sends what is left and closes. */
  end(): void;
  drop(): void;
}

export interface RawPeer {
  /** "127.0.0.1:12345", or the path of the socket. */
  readonly address: string;
  readonly port: number;
  /** All bytes received, over all connections, one character each. */
  readonly received: string;
  readonly connections: number;
  readonly open: number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface RawPeerOptions {
  readonly unix?: boolean;
  /** A byte at a time. */
  readonly chunked?: boolean;
  readonly onConnect?: (connection: RawConnection) => void;
  /** `text`: what this connection has received since its last answer, one character per byte. True: it was answered. */
  readonly onBytes?: (text: string, connection: RawConnection) => boolean | undefined;
}

/** A listening peer that ends with the test. */
export async function startRawPeer(t: TestContext, options: RawPeerOptions): Promise<RawPeer> {
  const directory = mkdtempSync(join(tmpdir(), "postern-peer-"));
  const path = join(directory, "socket");
  const sockets = new Set<Socket>();
  const state = { received: "", connections: 0, port: 0 };
  const server = createServer((socket) => {
    state.connections++;
    sockets.add(socket.setNoDelay(true));
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => sockets.delete(socket));
    serve(socket, state, options);
  });
  const start = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(options.unix ? { path } : { port: state.port, host: "127.0.0.1" }, () => {
        const address = server.address();
        if (typeof address === "object" && address) state.port = address.port;
        resolve();
      });
    });
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await start();
  t.after(async () => {
    if (server.listening) await stop();
    rmSync(directory, { recursive: true });
  });
  return {
    stop,
    start,
    get address() {
      return options.unix ? path : `127.0.0.1:${state.port}`;
    },
    get port() {
      return state.port;
    },
    get received() {
      return state.received;
    },
    get connections() {
      return state.connections;
    },
    get open() {
      return sockets.size;
    },
  };
}

function serve(socket: Socket, state: { received: string }, options: RawPeerOptions): void {
  let queue = Promise.resolve();
  const connection: RawConnection = {
    send(bytes) {
      const buffer = Buffer.from(bytes);
      if (options.chunked) queue = queue.then(() => trickle(socket, buffer));
      else socket.write(buffer);
    },
    end: () => void queue.then(() => socket.end()),
    drop: () => socket.destroy(),
  };
  options.onConnect?.(connection);
  let text = "";
  socket.on("data", (chunk) => {
    state.received += chunk.toString("latin1");
    text += chunk.toString("latin1");
    if (options.onBytes?.(text, connection) === true) text = "";
  });
}

async function trickle(socket: Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    if (socket.destroyed) return;
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
}
