/** test/testbed/conversation.ts: one SMTP conversation, command by command, over loopback. */
import net from "node:net";
import tls from "node:tls";

const REPLY_TIMEOUT_MS = 15_000;

export class Conversation {
  #socket: net.Socket;
  #text = "";
  #wake: () => void = () => undefined;
  #ended = false;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#listen();
  }

  /** Connects and resolves with the greeting read. */
  static async open(
    port: number,
    options: { readonly tls?: boolean; readonly from?: string; readonly first?: string } = {},
  ): Promise<Conversation & { greeting: string }> {
    const where = { port, host: "127.0.0.1", localAddress: options.from ?? "127.0.0.1" };
    const plain = net.connect(where);
    if (options.first !== undefined) plain.write(options.first, "latin1");
    const socket = options.tls ? tls.connect({ socket: plain, rejectUnauthorized: false }) : plain;
    const conversation = new Conversation(socket);
    const greeting = await conversation.reply();
    return Object.assign(conversation, { greeting });
  }

  /** Sends one line and resolves to the whole reply without its last CRLF. */
  async say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.reply();
  }

  /** Sends bytes without waiting. */
  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next whole reply; rejects when the server closes or stays silent. */
  async reply(): Promise<string> {
    const late = AbortSignal.timeout(REPLY_TIMEOUT_MS);
    for (;;) {
      const found = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#text);
      if (found) {
        this.#text = this.#text.slice(found[0].length);
        return found[0].slice(0, -2);
      }
      if (this.#ended) throw new Error(`The server closed the connection; unread: ${JSON.stringify(this.#text)}`);
      late.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** With a certificate of its own, if one is given. */
  async startTls(certificate: { readonly key?: string; readonly cert?: string } = {}): Promise<string> {
    const reply = await this.say("STARTTLS");
    if (!reply.startsWith("220")) return reply;
    this.#socket.removeAllListeners("data");
    const plain = this.#socket;
    await new Promise<void>((resolve, reject) => {
      const secure = tls.connect({ socket: plain, rejectUnauthorized: false, ...certificate }, () => resolve());
      secure.once("error", reject);
      this.#socket = secure;
    });
    this.#text = "";
    this.#listen();
    return reply;
  }

  /** EHLO, AUTH PLAIN; resolves to the AUTH reply. */
  authPlain(login: string, password: string): Promise<string> {
    return this.say(`AUTH PLAIN ${Buffer.from(`\0${login}\0${password}`).toString("base64")}`);
  }

  /** MAIL, RCPT, DATA; stops at the first refusal and returns it, else the final reply. */
  async send(message: { from: string; to: string; content: string }): Promise<string> {
    for (const line of [`MAIL FROM:<${message.from}>`, `RCPT TO:<${message.to}>`, "DATA"]) {
      const reply = await this.say(line);
      if (/^[45]/.test(reply)) return reply;
    }
    return this.say(`${message.content}\r\n.`);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    const late = AbortSignal.timeout(REPLY_TIMEOUT_MS);
    while (!this.#ended) {
      late.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  #listen(): void {
    this.#socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    this.#socket.on("close", end).on("error", end);
  }
}
