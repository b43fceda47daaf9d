/** test/testbed/counting-sink.ts: a next hop that counts: messages that are between MAIL and their final reply at the same
 *  time, and when each began. Not sessions: one that has said QUIT may still be open when the next begins. Takes its time with every message. */
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export class CountingSink {
  readonly #server = net.createServer((socket) => this.#serve(socket));
  readonly #delayMs: number;
  readonly #sockets = new Set<net.Socket>();
  #busy = 0;
  /** The most messages at the same time. */
  mostBusy = 0;
  /** When each message began, in milliseconds. */
  readonly began: number[] = [];
  taken = 0;

  private constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  /** `delayMs`: time between a message's last byte and the reply. */
  static async start(delayMs: number): Promise<CountingSink> {
    const sink = new CountingSink(delayMs);
    await new Promise<void>((resolve) => sink.#server.listen(0, "127.0.0.1", resolve));
    return sink;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Resolves when `count` messages were taken; rejects after `timeoutMs`. */
  async took(count: number, timeoutMs = 20_000): Promise<void> {
    for (const end = Date.now() + timeoutMs; this.taken < count; await sleep(20)) {
      if (Date.now() > end) throw new Error(`Only ${this.taken} of ${count} messages arrived`);
    }
  }

  reset(): void {
    this.mostBusy = 0;
    this.taken = 0;
    this.began.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #serve(socket: net.Socket): void {
    this.#sockets.add(socket);
    let [inContent, inMessage, pending] = [false, false, ""];
    const end = () => {
      if (inMessage) this.#busy--;
      inMessage = false;
    };
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      end();
    });
    socket.write("220 sink.example ESMTP\r\n");
    const line = (text: string) => {
      if (inContent) {
        if (text !== ".") return;
        inContent = false;
        setTimeout(() => {
          end();
          this.taken++;
          socket.write("250 2.0.0 Ok\r\n");
        }, this.#delayMs);
        return;
      }
      if (/^MAIL/i.test(text)) {
        inMessage = true;
        this.began.push(performance.now());
        this.mostBusy = Math.max(this.mostBusy, ++this.#busy);
      }
      inContent = /^DATA/i.test(text);
      socket.write(inContent ? "354 Go\r\n" : "250 2.0.0 Ok\r\n");
      if (/^QUIT/i.test(text)) socket.end();
    };
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      const lines = (pending + chunk).split("\r\n");
      pending = lines.pop() ?? "";
      for (const text of lines) line(text);
    });
  }
}
