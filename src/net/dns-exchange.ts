/** net/dns-exchange.ts: one DNS message to one name server and back, over UDP or TCP (RFC 1035 §4.2, RFC 7766). A socket of
 *  its own for each question, so each has a source port that cannot be guessed (RFC 5452). Knows no record. */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Clock } from "../base/clock.ts";

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

export interface ExchangeOptions {
  readonly clock: Pick<Clock, "after">;
  readonly timeoutMs: number;
  /** Whether a datagram is the answer; others are passed over, so that forged ones do no harm. */
  readonly accepts: (answer: Buffer) => boolean;
}

/** Over UDP. Rejects Error: no answer in time, or none can come. */
export function exchangeDatagram(query: Uint8Array, server: NameServer, options: ExchangeOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(server.address.includes(":") ? "udp6" : "udp4");
    const timer = options.clock.after(options.timeoutMs, () => fail(new Error("timed out")));
    const fail = (error: Error) => {
      timer.cancel();
      socket
        .removeAllListeners()
        .on("error", () => {})
        .close();
      reject(error);
    };
    socket.on("error", fail);
    socket.on("message", (answer) => {
      if (!options.accepts(answer)) return;
      timer.cancel();
      socket.removeAllListeners().close();
      resolve(answer);
    });
    // Connected: datagrams of others never arrive, and "port unreachable" does.
    socket.connect(server.port, server.address, () => socket.send(query));
  });
}

/** Over TCP, for what UDP cannot carry. Rejects Error. */
export function exchangeStream(query: Uint8Array, server: NameServer, options: ExchangeOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port });
    const timer = options.clock.after(options.timeoutMs, () => fail(new Error("timed out")));
    const fail = (error: Error) => {
      timer.cancel();
      socket.destroy();
      reject(error);
    };
    let received: Buffer = Buffer.alloc(0);
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("closed")));
    socket.on("data", (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]); // at most 64 KiB: the length says so
      if (received.length < 2 || received.length < received.readUInt16BE(0) + 2) return;
      const answer = received.subarray(2, received.readUInt16BE(0) + 2);
      if (!options.accepts(answer)) return fail(new Error("not the answer"));
      timer.cancel();
      socket.destroy();
      resolve(answer);
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });
}
