/** net/demo-sink.ts: the next hop of `postern demo` and `postern selftest`: takes every message on loopback and hands it over.
 *  Not a mail server: no limits, no queue, no relay. */
import net from "node:net";

export interface DemoSink {
  readonly port: number;
  close(): Promise<void>;
}

export interface SinkCallbacks {
  /** Gets the content as received, dot-stuffing removed, one character a byte. */
  readonly taken: (content: string) => void;
  /** Gets each MAIL and RCPT. */
  readonly asked?: (command: string) => void;
  /** DSN is announced, too: whoever relays here makes no report of it. */
  readonly dsn?: boolean;
}

/** Port 0 picks a free one. */
export function startDemoSink(port: number, to: SinkCallbacks | SinkCallbacks["taken"]): Promise<DemoSink> {
  const callbacks = typeof to === "function" ? { taken: to } : to;
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    serve(socket, callbacks);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address() as net.AddressInfo;
      const close = () =>
        new Promise<void>((done) => {
          server.close(() => done());
          for (const socket of open) socket.destroy();
        });
      resolve({ port: address.port, close });
    });
  });
}

function serve(socket: net.Socket, { taken, asked, dsn }: SinkCallbacks): void {
  let pending = "";
  let message: string[] | undefined;
  socket.setEncoding("latin1");
  socket.on("error", () => socket.destroy());
  socket.write("220 sink.example ESMTP\r\n");
  const line = (text: string) => {
    if (!message) {
      const verb = text.slice(0, 4).toUpperCase();
      if (verb === "DATA") message = [];
      if (verb === "MAIL" || verb === "RCPT") asked?.(text);
      socket.write(answer(verb, dsn === true));
      if (verb === "QUIT") socket.end();
      return;
    }
    if (text === ".") {
      taken(message.join("\r\n"));
      message = undefined;
      socket.write("250 2.0.0 Ok: kept by the demo sink\r\n");
      return;
    }
    message.push(text.startsWith(".") ? text.slice(1) : text);
  };
  socket.on("data", (chunk: string) => {
    const lines = (pending + chunk).split("\r\n");
    pending = lines.pop() ?? "";
    for (const text of lines) line(text);
  });
}

function answer(verb: string, dsn: boolean): string {
  if (verb === "EHLO") {
    return `250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n${dsn ? "250-DSN\r\n" : ""}250 SMTPUTF8\r\n`;
  }
  if (verb === "DATA") return "354 End data with <CR><LF>.<CR><LF>\r\n";
  if (verb === "QUIT") return "221 2.0.0 Bye\r\n";
  return "250 2.0.0 Ok\r\n";
}
