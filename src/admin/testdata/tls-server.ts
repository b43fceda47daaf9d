/** admin/testdata/tls-server.ts: a submission service that says what it is told to say, on loopback. */
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import type { SelfSigned } from "../../net/self-signed.ts";

export interface Script {
  readonly greeting?: string;
  readonly clear?: string;
  readonly startTls?: string;
  readonly secure?: string;
}

/** An EHLO reply that offers TLS. */
export const CLEAR = "250-x\r\n250 STARTTLS\r\n";
const AUTH = "250-x\r\n250 AUTH PLAIN LOGIN\r\n";
const servers: net.Server[] = [];

/** Answers as told; resolves to its port. */
export async function startTlsServer(script: Script, certificate: SelfSigned, wrapper: boolean): Promise<number> {
  const context = { key: certificate.keyPem, cert: certificate.certificatePem };
  const talk = (socket: net.Socket, secure: boolean) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      const line = chunk.toString("latin1");
      if (line.startsWith("EHLO")) socket.write((secure ? script.secure : script.clear) ?? AUTH);
      else if (line.startsWith("QUIT")) socket.end("221 x\r\n");
      else {
        const reply = script.startTls ?? "220 go\r\n";
        socket.write(reply);
        socket.removeAllListeners("data");
        if (reply.startsWith("220")) talk(new tls.TLSSocket(socket, { isServer: true, ...context }), true);
      }
    });
  };
  const greet = (socket: net.Socket) => {
    socket.write(script.greeting ?? "220 x\r\n");
    talk(socket, wrapper);
  };
  const server = wrapper ? tls.createServer(context, greet) : net.createServer(greet);
  server.on("tlsClientError", () => undefined);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}


export function lastTlsServer(): net.Server | undefined {
  return servers.at(-1);
}

export function closeTlsServers(): void {
  for (const server of servers) server.close();
}
