/** test/testbed/next-hop.ts: a next hop that keeps what it gets, or refuses it, and that can be shut at once, as a machine
 *  goes down: src/net/demo-sink.ts would wait for the connections that a relay keeps open. */
import net from "node:net";

export interface NextHop {
  readonly port: number;
  /** Resets all connections; from here on the port refuses. */
  close(): Promise<void>;
}

export interface NextHopOptions {
  /** 0 picks a free one. */
  readonly port: number;
  /** Gets each content, dot-stuffing removed. */
  readonly taken?: (content: string) => void;
  /** Reply to every RCPT, if not 250. */
  readonly refusal?: string;
  /** Extensions beside PIPELINING. */
  readonly keywords?: readonly string[];
  /** Gets each MAIL and RCPT. */
  readonly asked?: (command: string) => void;
}

export function startNextHop(options: NextHopOptions): Promise<NextHop> {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => open.delete(socket));
    serve(socket, options);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", () => {
      resolve({
        port: (server.address() as net.AddressInfo).port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of open) socket.destroy();
          }),
      });
    });
  });
}

function serve(socket: net.Socket, { taken, refusal, keywords = [], asked }: NextHopOptions): void {
  const say = (reply: string) => void socket.write(`${reply}\r\n`);
  let pending = "";
  let content: string[] | undefined;
  const take = (line: string) => {
    if (!content && /^(?:MAIL|RCPT)/.test(line)) asked?.(line);
    if (content && line !== ".") content.push(line.replace(/^\./, ""));
    else if (content) {
      taken?.(content.join("\r\n"));
      content = undefined;
      say("250 2.0.0 Ok: kept");
    } else if (line.startsWith("EHLO"))
      say(`250-next.example\r\n${keywords.map((keyword) => `250-${keyword}\r\n`).join("")}250 PIPELINING`);
    else if (line.startsWith("RCPT") && refusal !== undefined) say(refusal);
    else if (line === "DATA" && refusal !== undefined) say("554 5.5.1 No valid recipients");
    else if (line === "DATA") {
      content = [];
      say("354 End data with <CR><LF>.<CR><LF>");
    } else if (line === "QUIT") socket.end("221 2.0.0 Bye\r\n");
    else say("250 2.0.0 Ok");
  };
  say("220 next.example ESMTP");
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    const lines = (pending + chunk).split("\r\n");
    pending = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
}
