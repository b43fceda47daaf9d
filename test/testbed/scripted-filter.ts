/** test/testbed/scripted-filter.ts: an SMTP server in the place of a before-queue content filter (SMTPD_PROXY_README): it keeps
 *  every line that it gets, and answers as the script says. */
import net from "node:net";

export interface FilterScript {
  readonly greeting?: string;
  /** Extensions it announces; without one it answers EHLO with one line. */
  readonly keywords?: readonly string[];
  /** Answers go out one byte at a time. */
  readonly slow?: boolean;
  /** Reply to a command, or to "." at the end of data. "drop" closes the connection, "silence" says nothing; undefined: the
   *  usual reply. */
  readonly answer?: (command: string) => string | undefined;
}

export class ScriptedFilter {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Replaceable between sessions. */
  script: FilterScript = {};
  /** Commands of all sessions, in order. */
  readonly commands: string[] = [];
  readonly contents: string[] = [];
  /** All that it was sent. */
  received = "";

  private constructor() {
    this.#server = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy()).on("close", () => this.#sockets.delete(socket));
      this.#serve(socket);
    });
  }

  static async start(): Promise<ScriptedFilter> {
    const filter = new ScriptedFilter();
    await new Promise<void>((resolve) => filter.#server.listen(0, "127.0.0.1", resolve));
    return filter;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Connections that are open. */
  get sessions(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #serve(socket: net.Socket): void {
    const { script } = this;
    let pending = "";
    let content: string[] | undefined;
    const say = (reply: string) => {
      if (reply === "drop") socket.destroy();
      else if (reply !== "silence" && script.slow) for (const byte of `${reply}\r\n`) socket.write(byte, "latin1");
      else if (reply !== "silence") socket.write(`${reply}\r\n`, "latin1");
    };
    const take = (line: string) => {
      if (content && line !== ".") {
        content.push(line);
        return;
      }
      if (content) this.contents.push(content.join("\r\n"));
      content = undefined;
      this.commands.push(line);
      const reply = script.answer?.(line) ?? usualReply(line, script.keywords ?? []);
      if (line === "DATA" && reply.startsWith("354")) content = [];
      say(reply);
    };
    say(script.greeting ?? "220 filter.test ESMTP");
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      this.received += chunk;
      const lines = (pending + chunk).split("\r\n");
      pending = lines.pop() ?? "";
      for (const line of lines) take(line);
    });
  }
}

function usualReply(command: string, keywords: readonly string[]): string {
  if (/^EHLO/i.test(command))
    return ["filter.test", ...keywords].map((k, i) => `250${i === keywords.length ? " " : "-"}${k}`).join("\r\n");
  if (/^DATA$/i.test(command)) return "354 End data with <CR><LF>.<CR><LF>";
  if (/^QUIT$/i.test(command)) return "221 2.0.0 Bye";
  return command === "." ? "250 2.0.0 Ok: filtered" : "250 2.0.0 Ok";
}
