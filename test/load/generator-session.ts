/** test/load/generator-session.ts: one of the generator's sessions: connects, greets, sends messages until the budget is
 *  used up, reconnects where told. The envelope leaves in one write when the server offers PIPELINING. All bytes but the
 *  id are made once; the id is written into the session's own copy, which the server has read when the next one starts.
 *  States (the method that reads the next reply): greeting → ehlo → [starttls → ehlo] → [auth] → envelope → content → … */
import { connect, type Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";
import type { LoadOptions } from "./load-options.ts";

export type MessageEnd =
  | { readonly kind: "accepted"; readonly id: string }
  /** May be tried again: a 4xx, or the connection failed. */
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

/** What all sessions of a load share. */
export interface Budget {
  /** Takes one message to send; false when none is left. */
  take(): boolean;
  nextId(): string;
  connected(): void;
  ended(end: MessageEnd): void;
}

const RETRY_DELAY_MS = 50;
/** A server that says nothing for this long has failed. */
const SILENCE_MS = 120_000;
/** One context for all connections, and one group: without the latter the newer OpenSSL of the generator and of one of the
 *  servers would agree on a post-quantum group that the other server does not know, and would be charged for it. */
const TLS_OPTIONS = {
  rejectUnauthorized: false,
  secureContext: createSecureContext({ ca: [], ecdhCurve: "X25519" }),
} as const;
const EHLO = "EHLO load.example\r\n";
const END_OF_EMPTY = ".\r\n";

export class GeneratorSession {
  readonly #options: LoadOptions;
  readonly #budget: Budget;
  readonly #envelope: readonly string[];
  #socket: Socket | undefined;
  #read: (code: number, line: string) => void = () => {};
  #partialLine = "";
  #extensions = new Set<string>();
  /** Commands of the envelope already answered, and the first reply that refused one. */
  #answered = 0;
  #refusal: string | undefined;
  #message: { readonly bytes: Buffer; readonly idAt: number; readonly idLength: number } | undefined;
  #sending: string | undefined;
  #sentHere = 0;
  #secured = false;
  #finish: () => void = () => {};

  constructor(options: LoadOptions, budget: Budget) {
    this.#options = options;
    this.#budget = budget;
    const to = typeof options.to === "string" ? [options.to] : (options.to ?? ["recipient@example.net"]);
    this.#envelope = [
      `MAIL FROM:<${options.from ?? "sender@example.org"}>\r\n`,
      ...to.map((recipient) => `RCPT TO:<${recipient}>\r\n`),
      "DATA\r\n",
    ];
  }

  /** Resolves when the budget is used up. */
  run(): Promise<void> {
    return new Promise((resolve) => {
      const abort = (): void => void this.#socket?.destroy(new Error("aborted"));
      this.#options.signal?.addEventListener("abort", abort, { once: true });
      this.#finish = () => {
        this.#options.signal?.removeEventListener("abort", abort);
        resolve();
      };
      this.#nextConnection();
    });
  }

  /** A message is taken before the connection is made, so that no connection is made for nothing. */
  #nextConnection(): void {
    if (this.#options.signal?.aborted || !this.#budget.take()) {
      this.#finish();
      return;
    }
    this.#sending = this.#budget.nextId();
    this.#sentHere = 0;
    this.#secured = this.#options.tls === "implicit";
    const { host = "127.0.0.1", port } = this.#options;
    const socket = this.#secured ? connectTls({ host, port, ...TLS_OPTIONS }) : connect({ host, port, noDelay: true });
    this.#read = this.#greeting;
    this.#attach(socket);
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    this.#partialLine = "";
    let failure = "connection closed";
    socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error("no reply in time")));
    socket.on("data", (chunk: Buffer) => this.#receive(chunk, socket));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message;
    });
    socket.on("close", () => {
      if (socket === this.#socket) this.#closed(failure);
    });
  }

  #closed(failure: string): void {
    const lost = this.#sending !== undefined;
    if (lost) this.#end({ kind: "lost", reason: failure });
    // A server that is being restarted must not be met by a busy loop.
    if (lost) setTimeout(() => this.#nextConnection(), RETRY_DELAY_MS);
    else this.#nextConnection();
  }

  #end(end: MessageEnd): void {
    this.#sending = undefined;
    this.#budget.ended(end);
  }

  #receive(chunk: Buffer, socket: Socket): void {
    const text = this.#partialLine + chunk.toString("latin1");
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const line = text.slice(start, end).trimEnd();
      start = end + 1;
      if (line[3] === "-") this.#extensions.add(line.slice(4).toUpperCase());
      else this.#read(Number(line.slice(0, 3)), line);
      if (socket !== this.#socket) return; // STARTTLS, or given up
    }
    this.#partialLine = text.slice(start);
  }

  #greeting(code: number, line: string): void {
    if (code !== 220) {
      this.#giveUp(code, line);
      return;
    }
    this.#budget.connected();
    this.#sendEhlo();
  }

  #sendEhlo(): void {
    this.#extensions = new Set();
    this.#read = this.#ehlo;
    this.#socket?.write(EHLO);
  }

  #ehlo(code: number, line: string): void {
    if (code !== 250) {
      this.#giveUp(code, line);
      return;
    }
    this.#extensions.add(line.slice(4).toUpperCase());
    if (this.#options.tls === "starttls" && !this.#secured) {
      this.#read = this.#startTls;
      this.#socket?.write("STARTTLS\r\n");
    } else if (this.#options.auth) {
      const { login, password } = this.#options.auth;
      this.#read = this.#authenticated;
      this.#socket?.write(`AUTH PLAIN ${Buffer.from(`\0${login}\0${password}`).toString("base64")}\r\n`);
    } else {
      this.#sendEnvelope();
    }
  }

  #startTls(code: number, line: string): void {
    const plain = this.#socket;
    if (code !== 220 || plain === undefined) {
      this.#giveUp(code, line);
      return;
    }
    plain.removeAllListeners();
    plain.setTimeout(0);
    this.#secured = true;
    const secure = connectTls({ socket: plain, ...TLS_OPTIONS }, () => this.#sendEhlo());
    this.#attach(secure);
  }

  #authenticated(code: number, line: string): void {
    if (code !== 235) {
      this.#giveUp(code, line);
      return;
    }
    this.#sendEnvelope();
  }

  #sendEnvelope(): void {
    this.#answered = 0;
    this.#refusal = undefined;
    this.#read = this.#envelopeReply;
    const pipelining = this.#extensions.has("PIPELINING");
    this.#socket?.write(pipelining ? this.#envelope.join("") : (this.#envelope[0] ?? ""), "latin1");
  }

  #envelopeReply(code: number, line: string): void {
    this.#answered++;
    const last = this.#answered === this.#envelope.length;
    if (code >= 400) this.#refusal ??= line;
    if (code === 421) {
      this.#giveUp(code, line);
      return;
    }
    if (last && code === 354) this.#sendContent();
    else if (last) this.#messageRefused(line);
    else if (this.#extensions.has("PIPELINING")) return;
    else if (this.#refusal !== undefined) this.#messageRefused(line);
    else this.#socket?.write(this.#envelope[this.#answered] ?? "", "latin1");
  }

  #sendContent(): void {
    this.#read = this.#contentReply;
    if (this.#refusal !== undefined || this.#sending === undefined) {
      // Some recipient was refused, yet DATA was taken: nothing is worth sending on this connection any more.
      this.#giveUp(Number(this.#refusal?.slice(0, 3)), this.#refusal ?? END_OF_EMPTY);
      return;
    }
    this.#message ??= composeMessage(this.#options, this.#sending.length);
    this.#message.bytes.write(this.#sending, this.#message.idAt, "latin1");
    this.#socket?.write(this.#message.bytes);
  }

  #contentReply(code: number, line: string): void {
    if (code !== 250 || this.#sending === undefined) {
      this.#refusal = line;
      this.#messageRefused(line);
      return;
    }
    this.#end({ kind: "accepted", id: this.#sending });
    this.#next();
  }

  #messageRefused(line: string): void {
    const reason = this.#refusal ?? line;
    this.#end(reason.startsWith("4") ? { kind: "lost", reason } : { kind: "refused", reason });
    this.#read = () => this.#next();
    this.#socket?.write("RSET\r\n");
  }

  /** The next message on this connection, or QUIT; the connection's close then leads to the next one. */
  #next(): void {
    this.#sentHere++;
    if (this.#sentHere < (this.#options.perConnection ?? 1) && !this.#options.signal?.aborted && this.#budget.take()) {
      this.#sending = this.#budget.nextId();
      this.#sendEnvelope();
      return;
    }
    this.#read = () => this.#socket?.end();
    this.#socket?.write("QUIT\r\n");
  }

  /** The connection is of no more use: the message counts by the reply, and the next one gets a new connection. */
  #giveUp(code: number, line: string): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    if (this.#sending !== undefined) {
      this.#end(code >= 500 ? { kind: "refused", reason: line } : { kind: "lost", reason: line });
    }
    setTimeout(() => this.#nextConnection(), RETRY_DELAY_MS);
  }
}

/** A message of the wanted size with room for the id, the final dot included. */
function composeMessage(options: LoadOptions, idLength: number) {
  const head = "X-Load-Id: ";
  const rest = [
    "",
    `From: <${options.from ?? "sender@example.org"}>`,
    "To: undisclosed-recipients:;",
    "Date: Thu, 01 Jan 2026 00:00:00 +0000",
    "Subject: load",
    "",
    "",
  ].join("\r\n");
  const line = `${"All work and no play makes mail a dull thing. ".repeat(2).slice(0, 76)}\r\n`;
  const header = head + "x".repeat(idLength) + rest;
  const missing = Math.max(0, (options.sizeBytes ?? 4096) - header.length);
  const body = line.repeat(Math.ceil(missing / line.length)).slice(0, Math.max(0, missing - 2));
  const bytes = Buffer.from(`${header}${body.trimEnd().padEnd(body.length, ".")}\r\n.\r\n`, "latin1");
  return { bytes, idAt: head.length, idLength };
}
