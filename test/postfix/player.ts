/** test/postfix/player.ts: holds one dialogue with one server and writes down each reply to the byte. */
import net from "node:net";
import tls from "node:tls";
import type { Dialogue, Step } from "./dialogue-file.ts";

const REPLY_TIMEOUT_MS = 8_000;
/** How long a server may take to close where it should; the reply before it came at once. */
const CLOSE_TIMEOUT_MS = 1_500;

/** What a server said to one step. `reply` is as it came, but for the last CRLF; marks stand in brackets. */
export interface Said {
  readonly step: string;
  readonly reply: string;
}

export async function play(dialogue: Dialogue, port: number): Promise<readonly Said[]> {
  const peer = await Peer.connect(port);
  const said: Said[] = [];
  try {
    if (dialogue.greeted) said.push({ step: "(connects)", reply: await peer.reply() });
    for (const step of dialogue.steps) said.push(...(await take(peer, step)));
    if (peer.unread !== "") said.push({ step: "(end)", reply: peer.unread });
  } finally {
    peer.close();
  }
  return said;
}

async function take(peer: Peer, step: Step): Promise<readonly Said[]> {
  switch (step.kind) {
    case "write":
      peer.gather(step.bytes);
      return [];
    case "reply":
      peer.flush();
      return [{ step: step.shown, reply: await peer.reply() }];
    case "tls":
      return [{ step: "T:", reply: await peer.startTls() }];
    default:
      peer.flush();
      return [{ step: "K:", reply: await peer.closed() }];
  }
}

class Peer {
  #socket: net.Socket;
  #text = "";
  #ended = false;
  #wake: () => void = () => undefined;
  readonly #output: Buffer[] = [];

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  static connect(port: number): Promise<Peer> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Peer(socket));
      });
    });
  }

  get unread(): string {
    return this.#text;
  }

  /** Goes out in one write with what follows. */
  gather(bytes: Buffer): void {
    this.#output.push(bytes);
  }

  flush(): void {
    const bytes = Buffer.concat(this.#output.splice(0));
    if (bytes.length > 0 && !this.#ended) this.#socket.write(bytes);
  }

  /** The next whole reply. */
  async reply(): Promise<string> {
    const complete = () => /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/.exec(this.#text);
    await this.#until(() => complete() !== null, REPLY_TIMEOUT_MS);
    const found = complete()?.[0];
    if (found === undefined) {
      const rest = this.#text;
      this.#text = "";
      return `${rest}${this.#ended ? "(closed)" : "(silence)"}`;
    }
    this.#text = this.#text.slice(found.length);
    return found.endsWith("\r\n") ? found.slice(0, -2) : `${found.slice(0, -1)}(bare LF)`;
  }

  async closed(): Promise<string> {
    await this.#until(() => false, CLOSE_TIMEOUT_MS);
    return this.#ended ? "(closed)" : "(open)";
  }

  /** `(TLSv1.3)`, or that it failed. What came in clear before the handshake counts as failure. */
  async startTls(): Promise<string> {
    if (this.#ended) return "(closed)";
    if (this.#text !== "") return "(text before the handshake)";
    this.#socket.removeAllListeners();
    const plain = this.#socket;
    return await new Promise((resolve) => {
      const secure = tls.connect({ socket: plain, rejectUnauthorized: false });
      secure.once("secureConnect", () => {
        this.#socket = secure;
        this.#listen(secure);
        resolve(`(${secure.getProtocol()})`);
      });
      secure.once("error", () => {
        this.#ended = true;
        resolve("(no handshake)");
      });
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #listen(socket: net.Socket): void {
    socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  async #until(done: () => boolean, timeoutMs: number): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!done() && !this.#ended && Date.now() < end) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, end - Date.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
