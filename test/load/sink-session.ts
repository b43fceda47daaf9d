/** test/load/sink-session.ts: one connection of the sink. Reads commands, or content up to CRLF.CRLF (RFC 5321 §4.1.1.4),
 *  from chunks of any size; answers of one chunk leave in one write. States: command → auth → command; command → content
 *  → command; command → TLS handshake → command. */
import type { Socket } from "node:net";
import { type SecureContextOptions, TLSSocket } from "node:tls";

/** A message that was received whole. */
export interface Taken {
  /** Value of its X-Load-Id field, if it has one within the first 16 KiB. */
  readonly id: string | undefined;
  /** Size of the content as sent, without the final dot. */
  readonly bytes: number;
}

/** Rejects a message with a reply of the callback's own, such as "550 5.1.1 No such user". */
export class SinkRefusal extends Error {
  override readonly name = "SinkRefusal";
}

interface SessionOptions {
  readonly onMessage: (message: Taken) => void | Promise<void>;
  readonly tls?: (SecureContextOptions & { readonly mode: "starttls" | "implicit" }) | undefined;
}

const END_OF_CONTENT = Buffer.from("\r\n.\r\n");
const MAX_LINE_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const EMPTY = Buffer.alloc(0);

export class SinkSession {
  #socket: Socket;
  readonly #options: SessionOptions;
  #state: "command" | "auth" | "content" | "waiting" = "command";
  /** Bytes read and not used yet: an unfinished line, or what came while a callback was under way. */
  #rest: Buffer = EMPTY;
  #answers = "";
  /** Of the message being read: its beginning, its size, and the last four bytes of what came so far. */
  #head: Buffer = EMPTY;
  #size = 0;
  #tail: Buffer = EMPTY;

  constructor(socket: Socket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  start(): void {
    this.#attach(this.#socket);
    this.#socket.write("220 sink ESMTP\r\n");
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // A peer that is killed is what crash tests are about; the socket's close is all that is to be done.
    socket.on("error", () => socket.destroy());
  }

  #receive(chunk: Buffer): void {
    let input = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = EMPTY;
    while (input.length > 0 && this.#state !== "waiting") {
      const used = this.#state === "content" ? this.#readContent(input) : this.#readLine(input);
      if (used === 0) break;
      input = input.subarray(used);
    }
    this.#rest = input;
    if (this.#state === "command" && this.#rest.length > MAX_LINE_BYTES) this.#socket.destroy();
    this.#flush();
  }

  #flush(): void {
    if (this.#answers === "" || this.#socket.destroyed) return;
    this.#socket.write(this.#answers, "latin1");
    this.#answers = "";
  }

  /** Uses one line; 0 when it is not complete. */
  #readLine(input: Buffer): number {
    const end = input.indexOf(10);
    if (end < 0) return 0;
    const line = input.toString("latin1", 0, end).trimEnd();
    if (this.#state === "auth") {
      this.#state = "command";
      this.#answers += "235 2.7.0 Ok\r\n";
    } else {
      this.#command(line);
    }
    return end + 1;
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "EHLO") this.#ehlo();
    else if (verb === "DATA") this.#beginContent();
    else if (verb === "AUTH") this.#auth(line);
    else if (verb === "STAR") this.#startTls();
    else if (verb === "QUIT") this.#quit();
    else this.#answers += "250 2.1.0 Ok\r\n";
  }

  /** With an initial response the exchange is over at once, else after one more line. */
  #auth(line: string): void {
    const complete = line.split(" ").length > 2;
    this.#state = complete ? "command" : "auth";
    this.#answers += complete ? "235 2.7.0 Ok\r\n" : "334 \r\n";
  }

  #quit(): void {
    this.#answers += "221 2.0.0 Bye\r\n";
    this.#flush();
    this.#socket.end();
    this.#state = "waiting";
  }

  #ehlo(): void {
    const { tls } = this.#options;
    const starttls = tls?.mode === "starttls" && !(this.#socket instanceof TLSSocket) ? "250-STARTTLS\r\n" : "";
    this.#answers += `250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n${starttls}250 SIZE 0\r\n`;
  }

  #startTls(): void {
    if (this.#options.tls === undefined || this.#socket instanceof TLSSocket) {
      this.#answers += "502 5.5.1 No TLS here\r\n";
      return;
    }
    this.#answers += "220 2.0.0 Ready\r\n";
    this.#flush();
    this.#socket.removeAllListeners("data");
    this.#attach(new TLSSocket(this.#socket, { ...this.#options.tls, isServer: true }));
  }

  #beginContent(): void {
    this.#answers += "354 End data with <CR><LF>.<CR><LF>\r\n";
    this.#state = "content";
    this.#head = EMPTY;
    this.#size = 0;
    this.#tail = END_OF_CONTENT.subarray(0, 2); // a dot on the first line ends an empty message
  }

  /** Uses content up to and with its end, or all there is. */
  #readContent(input: Buffer): number {
    const across = Buffer.concat([this.#tail, input.subarray(0, 4)]).indexOf(END_OF_CONTENT);
    const within = across >= 0 ? -1 : input.indexOf(END_OF_CONTENT);
    let used = input.length;
    if (across >= 0) used = across - this.#tail.length + END_OF_CONTENT.length;
    else if (within >= 0) used = within + END_OF_CONTENT.length;
    if (this.#head.length < MAX_HEADER_BYTES) {
      const part = input.subarray(0, Math.min(used, MAX_HEADER_BYTES));
      this.#head = this.#head.length === 0 ? part : Buffer.concat([this.#head, part]);
    }
    this.#size += used;
    if (across >= 0 || within >= 0) this.#endContent();
    else this.#tail = Buffer.concat([this.#tail, input.subarray(-4)]).subarray(-4);
    return used;
  }

  #endContent(): void {
    const taken = this.#options.onMessage({ id: loadId(this.#head), bytes: Math.max(0, this.#size - 3) });
    if (taken === undefined) {
      this.#state = "command";
      this.#answers += "250 2.0.0 Ok\r\n";
      return;
    }
    this.#state = "waiting";
    taken.then(
      () => this.#resume("250 2.0.0 Ok\r\n"),
      (error) => this.#resume(`${error instanceof SinkRefusal ? error.message : "451 4.3.0 Not recorded"}\r\n`),
    );
  }

  #resume(answer: string): void {
    this.#answers += answer;
    this.#state = "command";
    this.#receive(EMPTY);
  }
}

const ID_FIELD = Buffer.from("X-Load-Id: ");

/** The id in a message's first bytes, without decoding the rest. */
function loadId(head: Buffer): string | undefined {
  const at = head.indexOf(ID_FIELD);
  if (at < 0) return undefined;
  const end = head.indexOf(13, at);
  return end < 0 ? undefined : head.toString("latin1", at + ID_FIELD.length, end);
}
