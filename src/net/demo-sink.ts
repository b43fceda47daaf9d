/** net/demo-sink.ts: the next hop of `postern demo`: takes every message on loopback and hands it to a callback.
 *  Not a mail server: no limits, no queue, no relay. */
import net from "node:net";

export interface DemoSink {
  readonly port: number;
  close(): Promise<void>;
}

/** `taken` gets the content as received, dot-stuffing removed. Port 0 picks a free one. */
export function startDemoSink(port: number, taken: (content: string) => void): Promise<DemoSink> {
  const server = net.createServer((socket) => serve(socket, taken));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address() as net.AddressInfo;
      resolve({ port: address.port, close: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

function serve(socket: net.Socket, taken: (content: string) => void): void {
  let pending = "";
  let message: string[] | undefined;
  socket.setEncoding("latin1");
  socket.on("error", () => socket.destroy());
  socket.write("220 sink.example ESMTP\r\n");
  const line = (text: string) => {
    if (!message) {
      const verb = text.slice(0, 4).toUpperCase();
      if (verb === "DATA") message = [];
      socket.write(answer(verb));
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

function answer(verb: string): string {
  if (verb === "EHLO") return "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
  if (verb === "DATA") return "354 End data with <CR><LF>.<CR><LF>\r\n";
  if (verb === "QUIT") return "221 2.0.0 Bye\r\n";
  return "250 2.0.0 Ok\r\n";
}
