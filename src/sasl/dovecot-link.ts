/** sasl/dovecot-link.ts: the one connection to Dovecot's auth service, shared by all exchanges of a backend through request
 *  ids. States: down (a retry may be timed), greeting (connected or connecting, handshake under way), up, closed.
 *  A lost connection fails what was asked on it; the next attempt follows by itself, after a growing delay. */
import { randomInt } from "node:crypto";
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { type LineSocket, openLineSocket, type SocketTarget } from "../net/socket-client.ts";
import type { MechanismProperties } from "./backend.ts";
import { type DovecotLine, type DovecotReply, parseDovecotLine } from "./dovecot-wire.ts";

/** Postfix waits as long, for the handshake and for each reply. */
const TIMEOUT_MS = 10_000;
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
const LINE_LIMIT_BYTES = 32 * 1024;
const SEND_LIMIT_BYTES = 1024 * 1024;
const MAX_MECHANISMS = 64;
const MAX_PENDING = 10_000;

export interface DovecotLinkOptions {
  readonly target: SocketTarget;
  /** How the log calls the peer: smtpd_sasl_path. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** "lost" includes timeouts. */
export type LinkReply = DovecotReply | { readonly kind: "lost" };

interface Pending {
  readonly resolve: (reply: LinkReply) => void;
  readonly timer: Timer;
}

export class DovecotLink {
  readonly #options: DovecotLinkOptions;
  readonly #pending = new Map<number, Pending>();
  #state: "down" | "greeting" | "up" | "closed" = "down";
  #socket: LineSocket | undefined;
  #mechanisms: readonly MechanismProperties[] = [];
  #offered: MechanismProperties[] = [];
  #minor = 0;
  #greeted = false;
  #waiting: ((up: boolean) => void)[] = [];
  #timer: Timer | undefined;
  #retryMs = MIN_RETRY_MS;
  #complained = false;
  #lastId = 0;
  #lastLineAt = 0;
  #epoch = 0;

  constructor(options: DovecotLinkOptions) {
    this.#options = options;
    this.#connect();
  }

  /** What the server offered last; empty before its first answer. */
  get mechanisms(): readonly MechanismProperties[] {
    return this.#mechanisms;
  }

  /** Counts connections: a dialogue goes on only where it began. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Connects if need be; false when that fails or takes longer than 10 s. */
  ready(): Promise<boolean> {
    if (this.#state === "up") return Promise.resolve(true);
    if (this.#state === "closed" || this.#waiting.length >= MAX_PENDING) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#state === "down") this.#connect();
    });
  }

  newId(): number {
    this.#lastId = this.#lastId >= 0x7fffffff ? 1 : this.#lastId + 1;
    return this.#lastId;
  }

  /** Sends a line about `id` and waits for the one reply to it. Never rejects. */
  ask(id: number, line: string): Promise<LinkReply> {
    if (this.#state !== "up" || this.#pending.size >= MAX_PENDING || this.#pending.has(id)) {
      return Promise.resolve({ kind: "lost" });
    }
    const askedAt = this.#options.clock.monotonic();
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(TIMEOUT_MS, () => this.#expire(id, askedAt));
      this.#pending.set(id, { resolve, timer });
      this.#socket?.send(line);
    });
  }

  /** Gives up `id`; a late reply to it is skipped. */
  cancel(id: number): void {
    this.#settle(id, { kind: "lost" });
    // Servers of protocol 1.0 take CANCEL for a bug; they forget the request by themselves.
    if (this.#state === "up" && this.#minor >= 1) this.#socket?.send(`CANCEL\t${id}`);
  }

  close(): void {
    this.#socket?.close();
    this.#down("closed");
  }

  #connect(): void {
    const { clock, target } = this.#options;
    this.#timer?.cancel();
    this.#state = "greeting";
    this.#offered = [];
    this.#greeted = false;
    this.#epoch++;
    this.#timer = clock.after(TIMEOUT_MS, () => this.#lose("timeout"), { ref: false });
    this.#socket = openLineSocket({
      target,
      lineLimitBytes: LINE_LIMIT_BYTES,
      sendLimitBytes: SEND_LIMIT_BYTES,
      onOpen: () => this.#greet(),
      onLine: (line) => this.#receive(line),
      onClose: (reason) => this.#lose(reason),
    });
  }

  #greet(): void {
    this.#socket?.send("VERSION\t1\t1");
    // Dovecot knows clients by this number and refuses one it has already; a process has several backends.
    this.#socket?.send(`CPID\t${randomInt(1, 0x7fffffff)}`);
  }

  #receive(text: string): void {
    this.#lastLineAt = this.#options.clock.monotonic();
    const line = parseDovecotLine(text);
    if (line === undefined) return;
    if (line === "malformed") this.#lose("malformed reply");
    else if (line.kind === "reply") this.#settle(line.id, line.reply);
    else if (this.#state === "greeting") this.#handshake(line);
  }

  #handshake(line: Exclude<DovecotLine, { readonly kind: "reply" }>): void {
    if (line.kind === "version") {
      this.#greeted = true;
      this.#minor = line.minor;
      if (line.major !== 1) this.#lose(`protocol version ${line.major} is not 1`);
    } else if (line.kind === "mechanism") {
      this.#offered.push(line.properties);
      if (this.#offered.length > MAX_MECHANISMS) this.#lose("too many mechanisms");
    } else if (this.#greeted) {
      this.#up();
    } else {
      this.#lose("no protocol version");
    }
  }

  #up(): void {
    this.#timer?.cancel();
    this.#state = "up";
    this.#mechanisms = strongestFirst(this.#offered);
    this.#retryMs = MIN_RETRY_MS;
    if (this.#complained) this.#options.log.info(`SASL: connected to ${this.#options.name} again`);
    this.#complained = false;
    for (const resolve of this.#waiting.splice(0)) resolve(true);
  }

  #expire(id: number, askedAt: number): void {
    this.#settle(id, { kind: "lost" });
    // Silent since the question: the connection is dead. Otherwise only this request is slow.
    if (this.#lastLineAt < askedAt) this.#lose("timeout");
    else this.cancel(id);
  }

  #settle(id: number, reply: LinkReply): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.timer.cancel();
    pending.resolve(reply);
  }

  #lose(reason: string): void {
    if (this.#state === "closed") return;
    const { name, log, clock } = this.#options;
    const what = this.#state === "up" ? "Connection lost to" : "Connect to";
    if (!this.#complained) log.warning(`SASL: ${what} ${name} failed: ${printableAscii(reason)}`);
    this.#complained = true;
    this.#socket?.close();
    this.#down("down");
    this.#timer = clock.after(this.#retryMs, () => this.#connect(), { ref: false });
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #down(state: "down" | "closed"): void {
    this.#timer?.cancel();
    this.#socket = undefined;
    this.#state = state;
    for (const id of [...this.#pending.keys()]) this.#settle(id, { kind: "lost" });
    for (const resolve of this.#waiting.splice(0)) resolve(false);
  }
}

/** Plaintext mechanisms last, for clients that take the first one they know; otherwise the server's order. */
function strongestFirst(mechanisms: readonly MechanismProperties[]): readonly MechanismProperties[] {
  const rank = (m: MechanismProperties) => (m.plaintext || m.anonymous ? 2 : m.mutualAuth ? 0 : 1);
  return mechanisms.toSorted((a, b) => rank(a) - rank(b));
}
