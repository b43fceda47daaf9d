/** tables/peer-exchange.ts: one question, one answer, over persistent connections: what memcache, socketmap and tcp tables
 *  have in common. The protocol is a pure function over the bytes received so far; anything behind an answer, or without a
 *  question, ends the connection, because it would be taken for the next answer. */
import { isAbsolute } from "node:path";
import type { Clock } from "../base/clock.ts";
import { type ByteSocket, openByteSocket } from "../net/byte-socket.ts";
import type { SocketTarget } from "../net/socket-client.ts";
import { type PeerConnection, PeerError, PeerPool } from "./peer-pool.ts";
import { TableError } from "./table.ts";

export type Parsed<R> =
  | { readonly kind: "more" }
  /** `why` may quote the peer; whoever logs it makes it printable. */
  | { readonly kind: "malformed"; readonly why: string }
  /** `length`: bytes of the answer, its framing included. */
  | { readonly kind: "reply"; readonly reply: R; readonly length: number };

/** Reads an answer from its first byte on. Called again with more bytes; must not keep them. */
export type ReplyParser<R> = (bytes: Buffer) => Parsed<R>;

export interface ExchangeOptions {
  readonly target: SocketTarget;
  readonly clock: Clock;
  /** For a question as a whole, connecting included. */
  readonly timeoutMs: number;
  /** Longest answer, its framing included. */
  readonly replyLimitBytes: number;
}

const SEND_LIMIT_BYTES = 1024 * 1024;
const FIRST_BUFFER_BYTES = 1024;
/** A larger buffer is not kept for the next answer. */
const KEPT_BUFFER_BYTES = 16 * 1024;

export class PeerExchange {
  readonly #pool: PeerPool<ExchangeConnection>;

  constructor(options: ExchangeOptions) {
    const { clock, timeoutMs } = options;
    this.#pool = new PeerPool({ clock, timeoutMs, open: () => new ExchangeConnection(options) });
  }

  /** Open connections, for tests. */
  get size(): number {
    return this.#pool.size;
  }

  /** Rejects PeerError. */
  ask<R>(request: Uint8Array, parse: ReplyParser<R>): Promise<R> {
    return this.#pool.use((connection) => connection.ask(request, parse));
  }

  close(): void {
    this.#pool.close();
  }
}

interface Pending {
  /** True if the answer is whole. Throws PeerError for a malformed one. */
  readonly offer: (bytes: Buffer) => boolean;
  readonly reject: (why: PeerError) => void;
}

class ExchangeConnection implements PeerConnection {
  readonly ready: Promise<void>;
  readonly #socket: ByteSocket;
  readonly #limit: number;
  #buffer = Buffer.allocUnsafe(FIRST_BUFFER_BYTES);
  #length = 0;
  #pending: Pending | undefined;
  #end: PeerError | undefined;
  #connected = false;
  #settleReady: { readonly resolve: () => void; readonly reject: (why: PeerError) => void } | undefined;

  constructor({ target, replyLimitBytes }: ExchangeOptions) {
    this.#limit = replyLimitBytes;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.#socket = openByteSocket({
      target,
      sendLimitBytes: SEND_LIMIT_BYTES,
      onOpen: () => {
        this.#connected = true;
        this.#settleReady?.resolve();
      },
      onBytes: (chunk) => this.#receive(chunk),
      onClose: (reason) => this.#fail(new PeerError(this.#connected ? "lost" : "connect", this.#explain(reason))),
    });
  }

  get usable(): boolean {
    return this.#end === undefined;
  }

  ask<R>(request: Uint8Array, parse: ReplyParser<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.#end) {
        reject(this.#end);
        return;
      }
      this.#pending = {
        reject,
        offer(bytes) {
          const parsed = parse(bytes);
          if (parsed.kind === "malformed") throw new PeerError("malformed", parsed.why);
          if (parsed.kind === "more") return false;
          if (parsed.length < bytes.length) throw new PeerError("malformed", "more than one answer to one question");
          resolve(parsed.reply);
          return true;
        },
      };
      this.#socket.send(request);
    });
  }

  close(): void {
    this.#fail(new PeerError("closed", "the connection was closed"));
  }

  #receive(chunk: Buffer): void {
    const pending = this.#pending;
    if (!pending) {
      this.#fail(new PeerError("malformed", "the server sends without being asked"));
      return;
    }
    const taken = Math.min(chunk.length, this.#limit + 1 - this.#length);
    this.#append(chunk.subarray(0, taken));
    try {
      if (pending.offer(this.#buffer.subarray(0, this.#length))) {
        this.#pending = undefined;
        this.#length = 0;
        if (this.#buffer.length > KEPT_BUFFER_BYTES) this.#buffer = Buffer.allocUnsafe(FIRST_BUFFER_BYTES);
      } else if (this.#length > this.#limit) {
        this.#fail(new PeerError("malformed", `the answer is longer than ${this.#limit} bytes`));
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#fail(error);
    }
  }

  /** Doubles the buffer where need be: linear in all, however small the chunks are. */
  #append(bytes: Buffer): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    bytes.copy(this.#buffer, this.#length);
    this.#length = needed;
  }

  #fail(why: PeerError): void {
    if (this.#end) return;
    this.#end = why;
    this.#socket.close();
    const pending = this.#pending;
    this.#pending = undefined;
    // Nobody may be waiting for it any more.
    this.ready.catch(() => undefined);
    this.#settleReady?.reject(why);
    pending?.reject(why);
  }

  #explain(reason: string): string {
    if (!this.#connected) return `connect to server: ${reason}`;
    return this.#pending && this.#length > 0 ? `${reason} in the middle of an answer` : reason;
  }
}

/** `inet:host:port`, `inet:[ipv6]:port` or `unix:/path`. Throws TableError. */
export function parseTarget(text: string): SocketTarget {
  const inet = /^inet:(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(inet?.[3]);
  if (inet && port > 0 && port <= 65535) return { kind: "tcp", host: inet[1] ?? inet[2] ?? "", port };
  const path = text.startsWith("unix:") ? text.slice(5) : "";
  if (isAbsolute(path)) return { kind: "unix", path };
  throw new TableError(`bad server "${text}": specify inet:host:port with a port number, or unix:/path`);
}
