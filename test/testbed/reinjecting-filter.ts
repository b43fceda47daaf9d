/** test/testbed/reinjecting-filter.ts: a before-queue content filter that hands mail back: it passes each message on to another
 *  port, with what XFORWARD told, and gives that server's answer; a message with the word VIRUS is refused. */
import net from "node:net";
import { Conversation } from "./conversation.ts";

export class ReinjectingFilter {
  readonly #server: net.Server;
  readonly #back: number;
  readonly #sockets = new Set<net.Socket>();

  private constructor(back: number) {
    this.#back = back;
    this.#server = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy()).on("close", () => this.#sockets.delete(socket));
      this.#serve(socket);
    });
  }

  /** `port` 0 picks a free one; `back`: where mail is handed back. */
  static async start(port: number, back: number): Promise<ReinjectingFilter> {
    const filter = new ReinjectingFilter(back);
    await new Promise<void>((resolve) => filter.#server.listen(port, "127.0.0.1", resolve));
    return filter;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #serve(socket: net.Socket): void {
    let pending = "";
    let content: string[] | undefined;
    const commands: string[] = [];
    const say = (reply: string) => void socket.write(`${reply}\r\n`, "latin1");
    const take = (line: string) => {
      if (content && line !== ".") content.push(line);
      else if (content) {
        const whole = content.join("\r\n");
        content = undefined;
        void this.#handBack(commands.splice(0), whole).then(say, () =>
          say("451 4.3.0 The server behind does not answer"),
        );
      } else if (/^EHLO/.test(line))
        say("250-filter.test\r\n250-XFORWARD NAME ADDR PORT PROTO HELO SOURCE\r\n250 8BITMIME");
      else if (line === "DATA") {
        content = [];
        say("354 Go on");
      } else if (line === "QUIT") socket.end("221 2.0.0 Bye\r\n");
      else {
        commands.push(line);
        say("250 2.0.0 Ok");
      }
    };
    say("220 filter.test ESMTP");
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      const lines = (pending + chunk).split("\r\n");
      pending = lines.pop() ?? "";
      for (const line of lines) take(line);
    });
  }

  async #handBack(commands: readonly string[], content: string): Promise<string> {
    if (content.includes("VIRUS")) return "550 5.7.1 The message holds a virus";
    const back = await Conversation.open(this.#back);
    try {
      await back.say("EHLO filter.test");
      for (const command of [...commands, "DATA"]) {
        const reply = await back.say(command);
        if (!/^[23]/.test(reply)) return reply;
      }
      return await back.say(`${content}\r\n.`);
    } finally {
      back.close();
    }
  }
}
