/** net/connection.ts: the server's side of one client connection: bounded lines or raw chunks in, batched text out,
 *  one deadline, STARTTLS. Knows no SMTP. Written for many short and many idle connections: nothing is allocated per
 *  line but the line, and no timer per wait.
 *
 *  Input is pulled: take what is there (takeLine, takeChunk), else `await wait()`. Output is gathered by write() and
 *  sent when the owner waits, so the replies to a pipelined group go out in one segment. */
import { isIPv6, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Deadline, Deadlines } from "../base/deadlines.ts";
import { LineSplitter, type SplitLine } from "../base/line-splitter.ts";
import type { TlsSession } from "../mail/client.ts";
import { type ProxyHeader, ProxyHeaderReader } from "./proxy-protocol.ts";
import { type ServerTls, sessionOf, tlsSocketOptions } from "./tls-context.ts";

export type { Socket };

/** Why a wait ended. All but "ready" say that no further input will come in time. */
export type WaitResult = "ready" | "eof" | "timeout" | "interrupted";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly deadlines: Deadlines;
  /** Longest line that is kept whole, in bytes. */
  readonly lineLimit: number;
  /** Nothing is read before upgrade(). */
  readonly implicitTls: boolean;
  /** Nothing is read before takeProxyHeader(), which must be called first. */
  readonly proxyHeader?: boolean;
}

/** Above this many unread bytes the socket is paused: a client cannot make us keep what we have not asked for. */
const PAUSE_BYTES = 64 * 1024;
/** Gathered output is sent at the latest at this length. */
const FLUSH_CHARS = 16 * 1024;
/** How long a closed connection may take to drain, so that the last reply is not lost in a reset. */
const LINGER_MS = 5_000;

export class Connection {
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly #deadline: Deadline;
  readonly #lineLimit: number;
  readonly #implicitTls: boolean;
  #socket: Socket;
  #splitter: LineSplitter;
  #out = "";
  #waiter: ((result: WaitResult) => void) | undefined;
  /** Whether the waiter waits for input, not for the output to drain or a handshake. */
  #inputWanted = false;
  #reading = false;
  #ended = false;
  #closing = false;
  #paused = false;
  #interrupted = false;
  #tls: TlsSession | undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#lineLimit = options.lineLimit;
    this.#implicitTls = options.implicitTls;
    this.#splitter = new LineSplitter(options.lineLimit);
    this.#deadline = options.deadlines.open(() => this.#expire());
    this.peer = { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
    this.local = { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 };
    // A client that has sent everything and closed its side still gets its replies.
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    this.#listen(socket);
    // The first bytes of implicit TLS belong to the handshake: they stay in the socket until upgrade().
    if (!options.implicitTls && !options.proxyHeader) this.#read(socket);
  }

  /** Facts of the TLS session; undefined in clear. */
  get tls(): TlsSession | undefined {
    return this.#tls;
  }

  /** Whether the client has sent anything that was not taken yet. */
  get inputPending(): boolean {
    return this.#splitter.pending;
  }

  /** Up to `limit` bytes of the unread input as latin1 text, for a log line; they stay unread. */
  peekPending(limit: number): string {
    return this.#splitter.peek(limit);
  }

  /** The next whole line, or undefined: wait. */
  takeLine(): SplitLine | undefined {
    return this.#splitter.next();
  }

  /** The next raw chunk, or undefined: wait. Only where a line has just ended. */
  takeChunk(): Buffer | undefined {
    return this.#splitter.takeChunk();
  }

  /** Gives back the unread end of the last chunk. */
  putBack(rest: Buffer): void {
    this.#splitter.putBack(rest);
  }

  /** Sends what was written and waits for input, at most `timeoutMs`. Only one wait at a time. */
  wait(timeoutMs: number): Promise<WaitResult> {
    this.flush();
    if (this.#interrupted) return Promise.resolve("interrupted");
    if (this.#ended) return Promise.resolve("eof");
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    this.#deadline.arm(timeoutMs);
    this.#inputWanted = true;
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  /** Gathers output. */
  write(text: string): void {
    this.#out += text;
    if (this.#out.length >= FLUSH_CHARS) this.flush();
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#out === "") return;
    const text = this.#out;
    this.#out = "";
    if (this.#socket.destroyed || !this.#socket.writable) return;
    // Nearly all output is ASCII, which goes out faster as latin1.
    this.#socket.write(text, /[^\x00-\x7f]/.test(text) ? "utf8" : "latin1");
  }

  /** Whether the client does not take our output: wait with drained() before producing more. */
  get writeBlocked(): boolean {
    return this.#socket.writableNeedDrain && !this.#ended;
  }

  /** Resolves "ready" when the output has been taken. */
  drained(timeoutMs: number): Promise<WaitResult> {
    if (!this.writeBlocked) return Promise.resolve(this.#socket.destroyed ? "eof" : "ready");
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#socket.once("drain", () => this.#settle("ready"));
    });
  }

  /** Ends the current wait, and each later one, with "interrupted": the server is being stopped. */
  interrupt(): void {
    this.#interrupted = true;
    this.#settle("interrupted");
  }

  /** Lets waits work again after interrupt(). */
  clearInterrupt(): void {
    this.#interrupted = false;
  }

  /** Reads a PROXY header, all of it within `timeoutMs`. What follows stays in the socket, for the lines to come or for
   *  the handshake: a client may send its ClientHello in the same segment. */
  takeProxyHeader(timeoutMs: number): Promise<ProxyHeader | Exclude<WaitResult, "ready">> {
    const socket = this.#socket;
    const reader = new ProxyHeaderReader();
    if (this.#interrupted) return Promise.resolve("interrupted");
    if (this.#ended) return Promise.resolve("eof");
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve) => {
      const finish = (outcome: ProxyHeader | Exclude<WaitResult, "ready">) => {
        socket.off("readable", look);
        this.#waiter = undefined;
        this.#deadline.disarm();
        if (!this.#implicitTls) this.#read(socket);
        resolve(outcome);
      };
      const look = () => {
        while (socket.readableLength > 0) {
          const chunk: Buffer | null = socket.read(Math.min(reader.wanted, socket.readableLength));
          const header = chunk === null ? undefined : reader.push(chunk);
          if (header) return finish(header);
        }
        // Else the end of a client that gave up would not be told.
        socket.read(0);
      };
      this.#waiter = (result) => finish(result === "ready" ? "eof" : result);
      socket.on("readable", look);
    });
  }

  /** STARTTLS or implicit TLS. Everything read in clear is dropped, whole lines and halves. Resolves to the reason of
   *  a failed handshake, or undefined; after a failure the connection is of no further use. */
  async upgrade(context: ServerTls, timeoutMs: number): Promise<string | undefined> {
    if (!(await this.#sent(timeoutMs))) return "lost connection";
    const raw = this.#socket;
    if (this.#reading) {
      raw.pause();
      // Bytes that arrived before the handshake must not reach it, nor the new parser (RFC 3207 §6, CVE-2011-0411).
      while (raw.read() !== null);
      this.#splitter = new LineSplitter(this.#lineLimit);
      this.#paused = false;
    }
    if (raw.destroyed || this.#ended) return "lost connection";
    const secured = new TLSSocket(raw, tlsSocketOptions(context));
    this.#socket = secured;
    const failure = await this.#handshake(secured, timeoutMs);
    if (failure !== undefined) {
      this.destroy();
      return failure;
    }
    this.#tls = sessionOf(secured, context);
    this.#listen(secured);
    this.#read(secured);
    return undefined;
  }

  /** Sends what was written, then closes. Resolves when the socket is gone; at most a few seconds. */
  close(): Promise<void> {
    this.#closing = true;
    this.flush();
    this.#settle("eof");
    const socket = this.#socket;
    if (socket.destroyed) {
      this.#deadline.close();
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      socket.once("close", resolve);
      this.#deadline.arm(LINGER_MS);
      if (this.#ended || !this.inputPending) return this.#closeSent(socket);
      // Unread input would turn close() into a reset that may overtake our last reply.
      socket.end();
      socket.once("end", () => socket.destroy());
      socket.resume();
    });
  }

  /** Closes as soon as everything is sent; at once if the kernel has it already, so that a short reply and the end of
   *  the connection reach the client together and shutdown(2) is spared. TLS has its close_notify to send. */
  #closeSent(socket: Socket): void {
    if (socket.writableLength === 0 && !(socket instanceof TLSSocket)) socket.destroy();
    else socket.destroySoon();
  }

  /** Closes at once, unsent output is lost. */
  destroy(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on("end", () => {
      if (socket === this.#socket) this.#end();
    });
    socket.on("close", () => {
      this.#end();
      this.#deadline.close();
    });
    // "close" follows; a reset by the peer is an end like any other.
    socket.on("error", () => this.#end());
    socket.on("_tlsError", () => socket.destroy());
  }

  #read(socket: Socket): void {
    this.#reading = true;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
  }

  #receive(chunk: Buffer): void {
    if (this.#closing) return;
    this.#splitter.push(chunk);
    if (this.#inputWanted) this.#settle("ready");
    else if (this.#splitter.unreadBytes > PAUSE_BYTES && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  #end(): void {
    this.#ended = true;
    this.#settle("eof");
  }

  #expire(): void {
    if (this.#closing) this.#socket.destroy();
    else this.#settle("timeout");
  }

  #settle(result: WaitResult): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    this.#inputWanted = false;
    this.#deadline.disarm();
    waiter(result);
  }

  /** All output handed to the kernel. */
  #sent(timeoutMs: number): Promise<boolean> {
    const text = this.#out;
    this.#out = "";
    if (text === "" && this.#socket.writableLength === 0) return Promise.resolve(!this.#ended);
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve) => {
      this.#waiter = () => resolve(false);
      this.#socket.write(text, (error) => {
        this.#waiter = undefined;
        this.#deadline.disarm();
        resolve(!error);
      });
    });
  }

  #handshake(socket: TLSSocket, timeoutMs: number): Promise<string | undefined> {
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve) => {
      let reason: string | undefined;
      this.#waiter = (result) => resolve(reason ?? (result === "timeout" ? "Connection timed out" : "lost connection"));
      const fail = (error: Error) => {
        reason = /\bECONNRESET\b/.test(error.message) ? "Connection reset by peer" : error.message;
        this.#settle("eof");
      };
      // Nobody reads yet, so that the end of a client that gave up would not be told until the deadline.
      const look = () => void socket.read(0);
      socket.on("readable", look);
      socket.once("end", () => this.#settle("eof"));
      socket.once("secure", () => {
        this.#waiter = undefined;
        this.#deadline.disarm();
        socket.off("readable", look);
        socket.off("_tlsError", fail);
        socket.off("error", fail);
        resolve(undefined);
      });
      socket.on("_tlsError", fail);
      socket.on("error", fail);
      socket.once("close", () => this.#settle("eof"));
    });
  }
}

/** Textual address without zone; IPv4-mapped IPv6 as IPv4. */
export function plainAddress(address: string | undefined): string {
  const text = (address ?? "unknown").replace(/%.*$/, "");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text);
  return mapped?.[1] ?? (isIPv6(text) ? text.toLowerCase() : text);
}
