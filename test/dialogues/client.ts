/** test/dialogues/client.ts: the client's side: sends bytes as told, hands out whole reply lines. */
import net from "node:net";
import tls from "node:tls";

const TIMEOUT_MS = 5_000;

export class Client {
  static readonly #open = new Set<Client>();
  #socket: net.Socket;
  #received = "";
  #closed = false;
  #wake: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  static async connect(port: number): Promise<Client> {
    const socket = net.connect(port, "127.0.0.1");
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.setNoDelay(true);
    const client = new Client(socket);
    Client.#open.add(client);
    return client;
  }

  /** So that a failed test does not leave the process waiting. */
  static closeAll(): void {
    for (const client of Client.#open) client.close();
  }

  send(bytes: string): void {
    this.#socket.write(bytes, "latin1");
  }

  get blocked(): boolean {
    return this.#socket.writableNeedDrain;
  }

  drained(): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      const done = () => {
        socket.off("drain", done);
        socket.off("close", done);
        resolve();
      };
      socket.on("drain", done);
      socket.on("close", done);
    });
  }

  /** Stops reading: the server's output piles up. */
  pause(): void {
    this.#socket.pause();
  }

  endInput(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** The next line without CRLF; "(closed)" when the server has closed. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf("\r\n");
      if (end >= 0) {
        const text = this.#received.slice(0, end);
        this.#received = this.#received.slice(end + 2);
        return text;
      }
      if (this.#closed) return this.#received === "" ? "(closed)" : `(closed in mid-line) ${this.#received}`;
      await this.#news();
    }
  }

  /** TLS handshake; false if the server refuses. */
  async startTls(): Promise<boolean> {
    const raw = this.#socket;
    raw.removeAllListeners("data");
    raw.removeAllListeners("close");
    const secured = tls.connect({ socket: raw, rejectUnauthorized: false, servername: "mail.example.org" });
    this.#socket = secured;
    this.#received = "";
    const done = await new Promise<boolean>((resolve) => {
      secured.once("secureConnect", () => resolve(true));
      secured.once("error", () => resolve(false));
      secured.once("close", () => resolve(false));
    });
    this.#closed = !done;
    this.#listen(secured);
    return done;
  }

  close(): void {
    Client.#open.delete(this);
    this.#socket.destroy();
  }

  #listen(socket: net.Socket): void {
    socket.on("data", (chunk) => {
      this.#received += chunk.toString("latin1");
      this.#wake();
    });
    socket.on("error", () => socket.destroy());
    socket.on("end", () => {
      this.#closed = true;
      this.#wake();
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  #news(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("The server says nothing")), TIMEOUT_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
