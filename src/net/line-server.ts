/** net/line-server.ts: a small server for line protocols over unix or TCP sockets (policy servers written with
 *  postern/policy). Bounded: connections, line length, time without a byte; a peer that does not read its answers is not
 *  read from either. Knows no protocol. */
import { chmod, lstat, unlink } from "node:fs/promises";
import net from "node:net";
import { LineSplitter } from "../base/line-splitter.ts";
import type { SocketTarget } from "./socket-client.ts";

/** How long a connection that is being ended may take to flush. */
const LINGER_MS = 5000;

export interface LineServerOptions {
  /** Port 0 picks a free one. A socket file that nobody listens on any more is replaced. */
  readonly listen: SocketTarget;
  /** Mode of the socket file; by default what the umask gives. */
  readonly socketMode?: number | undefined;
  readonly lineLimitBytes: number;
  /** Connections beyond this are closed at once. */
  readonly maxConnections: number;
  /** A connection that is silent for this long is closed. */
  readonly idleMs: number;
  readonly onConnection: (peer: LinePeer) => LineReceiver;
  /** Accepting failed, e.g. for want of file descriptors. The server goes on. */
  readonly onError: (error: Error) => void;
}

/** The way back to one client. After its end all of this does nothing. */
export interface LinePeer {
  send(text: string): void;
  /** No further lines until resume(). */
  hold(): void;
  resume(): void;
  /** Sends what is left, then ends the connection. */
  finish(): void;
}

export interface LineReceiver {
  /** One line without its end, as UTF-8. */
  onLine(line: string): void;
  /** No more lines will come: the client has ended its side, or the server is closing. Answer and finish(). */
  onEnd(): void;
}

export interface LineServer {
  /** Where it listens: the port that was picked. */
  readonly target: SocketTarget;
  /** Takes no more connections and resolves when the last one has ended. */
  close(): Promise<void>;
}

/** Rejects with the system's error when it cannot listen. */
export async function startLineServer(options: LineServerOptions): Promise<LineServer> {
  const { listen } = options;
  const connections = new Set<LineConnection>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = new LineConnection(socket, options);
    connections.add(connection);
    socket.on("close", () => connections.delete(connection));
  });
  server.maxConnections = options.maxConnections;
  if (listen.kind === "unix") await removeStale(listen.path);
  await listenOn(server, listen);
  server.on("error", options.onError);
  if (listen.kind === "unix" && options.socketMode !== undefined) await chmod(listen.path, options.socketMode);
  return {
    target: listen.kind === "unix" ? listen : { ...listen, port: (server.address() as net.AddressInfo).port },
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections) connection.end();
      return closed;
    },
  };
}

function listenOn(server: net.Server, listen: SocketTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const ready = () => {
      server.off("error", reject);
      resolve();
    };
    if (listen.kind === "unix") server.listen(listen.path, ready);
    else server.listen(listen.port, listen.host, ready);
  });
}

/** Removes the socket file of a server that is gone; anything else stays, and listening fails. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found?.isSocket() && (await isRefused(path))) await unlink(path);
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
}

class LineConnection implements LinePeer {
  readonly #socket: net.Socket;
  readonly #lines: LineSplitter;
  readonly #receiver: LineReceiver;
  #held = false;
  #inputEnded = false;
  #ended = false;

  constructor(socket: net.Socket, options: LineServerOptions) {
    this.#socket = socket;
    this.#lines = new LineSplitter(options.lineLimitBytes);
    this.#receiver = options.onConnection(this);
    socket.setTimeout(options.idleMs, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      this.#lines.push(chunk);
      this.#pump();
    });
    socket.on("drain", () => this.#pump());
    socket.on("end", () => {
      this.#inputEnded = true;
      this.#pump();
    });
  }

  send(text: string): void {
    if (this.#socket.writable) this.#socket.write(text);
  }

  hold(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    this.#pump();
  }

  finish(): void {
    this.#socket.setTimeout(LINGER_MS);
    this.#socket.destroySoon();
  }

  /** Tells the receiver, once, that nothing will follow. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#receiver.onEnd();
  }

  /** Hands out lines as long as somebody wants them and the peer reads its answers. */
  #pump(): void {
    const blocked = () => this.#held || this.#socket.writableNeedDrain;
    while (!this.#ended && !blocked() && !this.#socket.destroyed) {
      const line = this.#lines.next();
      if (line === undefined) {
        if (this.#inputEnded) this.end();
        break;
      }
      if (line.truncated) {
        this.#socket.destroy();
        return;
      }
      this.#receiver.onLine(Buffer.from(line.text, "latin1").toString("utf8"));
    }
    if (blocked()) this.#socket.pause();
    else this.#socket.resume();
  }
}
