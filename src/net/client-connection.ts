/** net/client-connection.ts: an outgoing socket that speaks lines: connect, bounded reply lines, writes with back-pressure,
 *  upgrade to TLS, one deadline for whatever is being waited for. Knows no SMTP.
 *
 *  The first failure is kept: lines that came before it can still be read, everything later throws it. */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type SecureContext, type TLSSocket } from "node:tls";
import type { Deadline, Deadlines } from "../base/deadlines.ts";
import { type EstablishedTls, establishedTls } from "./client-tls.ts";

/** "local": not the peer's doing, a table of ours could not be asked. */
export type ConnectionFailure = "connect" | "lost" | "timeout" | "tls" | "protocol" | "local";

/** Why the connection is of no further use. The message is the system's text ("Connection refused"). */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly kind: ConnectionFailure;

  constructor(kind: ConnectionFailure, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/** Where to connect to: an IP address and port, or a UNIX-domain socket. */
export type PeerAddress = { readonly address: string; readonly port: number } | { readonly path: string };

export interface ConnectOptions {
  readonly peer: PeerAddress;
  readonly deadlines: Deadlines;
  /** 0: the system's limit. */
  readonly timeoutMs: number;
  readonly localAddress?: string | undefined;
}

export interface StartTlsOptions {
  /** What is offered and trusted; Node's own choice if not given. */
  readonly secureContext?: SecureContext | undefined;
  /** Name in the handshake (RFC 6066 §3); "" or an address: none. */
  readonly serverName: string;
  /** An earlier session with this server, to be resumed. */
  readonly session?: Buffer | undefined;
  /** Gets sessions that may be resumed, as the server issues them. */
  readonly onSession?: ((session: Buffer) => void) | undefined;
  readonly timeoutMs: number;
}

/** Of a longer line only so many bytes are kept (Postfix: line_length_limit). */
export const MAX_LINE_BYTES = 2048;
/** A line without an end in sight is given up here, so that a peer cannot send for ever. */
const MAX_SKIPPED_BYTES = 64 * 1024;
/** With this many unread lines the peer is not read any more until half of them are taken. */
const MAX_UNREAD = 1000;

const NOTHING = Buffer.alloc(0);

const SYSTEM_TEXTS: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "Connection refused"],
  ["ECONNRESET", "Connection reset by peer"],
  ["ETIMEDOUT", "Connection timed out"],
  ["EHOSTUNREACH", "No route to host"],
  ["ENETUNREACH", "Network is unreachable"],
  ["EADDRNOTAVAIL", "Cannot assign requested address"],
  ["EACCES", "Permission denied"],
  ["ENOENT", "No such file or directory"],
  ["EPIPE", "Broken pipe"],
  ["EMFILE", "Too many open files"],
]);

/** 4 or 6 for an IP address, 0 for anything else. */
export function ipVersion(text: string): 0 | 4 | 6 {
  return isIP(text) as 0 | 4 | 6;
}

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: ConnectionError) => void;
}

export class ClientConnection {
  #socket: Socket | TLSSocket;
  readonly #deadline: Deadline;
  #lines: string[] = [];
  #next = 0;
  #partial: Buffer = NOTHING;
  /** Bytes of the line in `partial` that were not kept. */
  #skipped = 0;
  #failure: ConnectionError | undefined;
  #reader: Waiter<string> | undefined;
  #writer: Waiter<void> | undefined;
  #idle: (() => void) | undefined;

  private constructor(socket: Socket, deadlines: Deadlines) {
    this.#socket = socket;
    this.#deadline = deadlines.open(() => this.#expired());
    socket.setNoDelay(true);
    this.#attach(socket);
  }

  /** Rejects ConnectionError of kind "connect", also when the time is over. */
  static open(options: ConnectOptions): Promise<ClientConnection> {
    const { peer, deadlines, timeoutMs, localAddress } = options;
    return new Promise((resolve, reject) => {
      const local = localAddress === undefined ? {} : { localAddress };
      const socket = "path" in peer ? connect(peer.path) : connect({ host: peer.address, port: peer.port, ...local });
      const fail = (text: string, cause?: unknown) => {
        deadline.close();
        socket.destroy();
        reject(new ConnectionError("connect", text, { cause }));
      };
      const refused = (error: Error) => fail(systemText(error), error);
      const deadline = deadlines.open(() => fail("Connection timed out"));
      if (timeoutMs > 0) deadline.arm(timeoutMs);
      socket.once("error", refused);
      socket.once("connect", () => {
        deadline.close();
        socket.off("error", refused);
        resolve(new ClientConnection(socket, deadlines));
      });
    });
  }

  /** Our own address; "" for a UNIX-domain socket, and when it is closed. */
  get ownAddress(): string {
    return this.#socket.localAddress ?? "";
  }

  /** False when it failed, was closed by the peer, or the peer said something unasked. */
  get fresh(): boolean {
    return this.#failure === undefined && this.#next === this.#lines.length && this.#partial.length === 0;
  }

  /** The next line without its end, one character per byte. Rejects the failure. One reader at a time. */
  readLine(timeoutMs: number): string | Promise<string> {
    const line = this.#lines[this.#next];
    if (line !== undefined) {
      this.#took();
      return line;
    }
    if (this.#failure) throw this.#failure;
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** Writes; a promise means that the peer is slow: wait for it. Throws or rejects the failure. */
  write(bytes: Uint8Array | string, timeoutMs: number): void | Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#socket.write(bytes)) return;
    if (this.#socket.writableCorked > 0) this.#socket.uncork();
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve, reject) => {
      this.#writer = { resolve, reject };
    });
  }

  /** Holds writes back until uncork(), so small pieces leave in one segment. */
  cork(): void {
    if (this.#socket.writableCorked === 0) this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /** Whether a whole line is waiting. */
  get hasLine(): boolean {
    return this.#next < this.#lines.length;
  }

  /** Nobody uses the connection now: `expire` runs after `idleMs`, or at once when the peer closes. */
  rest(idleMs: number, expire: () => void): void {
    this.#idle = expire;
    this.#deadline.arm(idleMs);
  }

  /** Ends rest(). */
  wake(): void {
    this.#idle = undefined;
    this.#deadline.disarm();
  }

  /** TLS over this connection. Bytes that the peer sent in clear behind its reply are an attack: it fails. Whatever the
   *  certificate is, the handshake succeeds: the caller judges it. Rejects ConnectionError of kind "tls" or "timeout". */
  async startTls(options: StartTlsOptions): Promise<EstablishedTls> {
    if (this.#failure) throw this.#failure;
    if (!this.fresh) throw this.#fail(new ConnectionError("tls", "unexpected plaintext before the TLS handshake"));
    const raw = this.#socket;
    raw.removeAllListeners();
    const { serverName, secureContext, session, onSession, timeoutMs } = options;
    const socket = connectTls({
      socket: raw,
      ...(serverName !== "" && isIP(serverName) === 0 && { servername: serverName }),
      ...(secureContext && { secureContext }),
      ...(session && { session }),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    this.#socket = socket;
    if (onSession) socket.on("session", onSession);
    const broken = (error: Error) => this.#fail(new ConnectionError("tls", systemText(error), { cause: error }));
    const closed = () => this.#fail(new ConnectionError("tls", "lost connection"));
    raw.on("error", broken);
    socket.on("error", broken).on("close", closed);
    await new Promise<void>((resolve, reject) => {
      this.#writer = { resolve, reject };
      this.#deadline.arm(timeoutMs);
      socket.once("secureConnect", () => this.#resumeWriter());
    });
    socket.off("error", broken).off("close", closed);
    this.#attach(socket);
    return establishedTls(socket, serverName);
  }

  /** Writes the last words, then closes; waits for nothing. */
  end(lastWords: string): void {
    if (!this.#failure) this.#socket.end(lastWords);
    this.#fail(new ConnectionError("lost", "closed"), "graceful");
  }

  /** Closes at once; whoever waits gets a "lost" failure. */
  destroy(): void {
    this.#fail(new ConnectionError("lost", "closed"));
  }

  #attach(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    socket.on("drain", () => this.#resumeWriter());
    socket.on("error", (error) => this.#fail(new ConnectionError("lost", systemText(error), { cause: error })));
    socket.on("end", () => this.#fail(new ConnectionError("lost", "lost connection")));
    socket.on("close", () => this.#fail(new ConnectionError("lost", "lost connection")));
  }

  #received(chunk: Buffer): void {
    const bytes = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      this.#lines.push(lineOf(bytes, start, end));
      start = end + 1;
      this.#skipped = 0;
    }
    this.#keepRest(start === 0 ? bytes : bytes.subarray(start));
    if (this.#lines.length - this.#next > MAX_UNREAD) this.#socket.pause();
    if (this.#idle) this.#expired(); // unasked words of an idle peer: "421 timeout", or worse
    const line = this.#lines[this.#next];
    const reader = this.#reader;
    if (reader && line !== undefined) {
      this.#reader = undefined;
      this.#deadline.disarm();
      this.#took();
      reader.resolve(line);
    }
    if (this.#skipped > MAX_SKIPPED_BYTES) this.#fail(new ConnectionError("protocol", "reply line too long"));
  }

  /** The begin of a line whose end has not come yet. */
  #keepRest(rest: Buffer): void {
    this.#skipped += Math.max(0, rest.length - MAX_LINE_BYTES);
    // A copy of what is too long lets the large chunk go.
    this.#partial = rest.length > MAX_LINE_BYTES ? Buffer.from(rest.subarray(0, MAX_LINE_BYTES)) : rest;
  }

  #took(): void {
    this.#next++;
    if (this.#next < this.#lines.length) {
      if (this.#lines.length - this.#next === MAX_UNREAD / 2) this.#socket.resume();
      return;
    }
    this.#lines = [];
    this.#next = 0;
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  #resumeWriter(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    this.#deadline.disarm();
    writer?.resolve();
  }

  #expired(): void {
    const idle = this.#idle;
    this.#idle = undefined;
    if (idle) idle();
    else this.#fail(new ConnectionError("timeout", "timed out"));
  }

  /** Keeps the first failure, tells whoever waits, and closes. Returns the failure that counts. */
  #fail(error: ConnectionError, how: "graceful" | "at once" = "at once"): ConnectionError {
    if (this.#failure) return this.#failure;
    this.#failure = error;
    this.#deadline.close();
    const [idle, reader, writer] = [this.#idle, this.#reader, this.#writer];
    this.#idle = this.#reader = this.#writer = undefined;
    if (how === "at once") this.#socket.destroy();
    else this.#socket.destroySoon();
    reader?.reject(error);
    writer?.reject(error);
    idle?.();
    return error;
  }
}

/** Without its end, and cut. */
function lineOf(bytes: Buffer, start: number, end: number): string {
  const stop = end > start && bytes[end - 1] === 13 ? end - 1 : end;
  return bytes.toString("latin1", start, Math.min(stop, start + MAX_LINE_BYTES));
}

function systemText(error: Error & { code?: string }): string {
  return SYSTEM_TEXTS.get(error.code ?? "") ?? error.code ?? error.message;
}
