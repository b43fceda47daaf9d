/** dns/testdata/zone-server.ts: a name server of a few lines on loopback, UDP and TCP, that answers from a table, with the AD
 *  bit where the table says so. The network edge of the tests of DNSSEC. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import {
  type Answer,
  AUTHENTIC_DATA,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  TRUNCATED_RESPONSE,
} from "dns-packet";

export interface ZoneEntry {
  readonly answers?: readonly Answer[];
  readonly secure?: boolean;
  /** 2: SERVFAIL, 3: NXDOMAIN. */
  readonly rcode?: number;
  /** Over UDP it does not fit. */
  readonly truncated?: boolean;
  /** Sent before the answer, as somebody would who does not know the question. */
  readonly forged?: (query: Packet) => Packet | Uint8Array;
  readonly silent?: boolean;
}

/** By "name TYPE", lower case name. */
export type Zone = Readonly<Record<string, ZoneEntry>>;

export class ZoneServer {
  readonly #udp: Socket;
  readonly #tcp: Server;
  readonly zone: Zone;
  /** "name TYPE udp" in order. */
  readonly asked: string[] = [];
  readonly queries: Packet[] = [];

  private constructor(zone: Zone) {
    this.zone = zone;
    this.#udp = createSocket("udp4");
    this.#tcp = createServer();
  }

  static async start(zone: Zone): Promise<ZoneServer> {
    const server = new ZoneServer(zone);
    server.#tcp.listen(0, "127.0.0.1");
    await once(server.#tcp, "listening");
    server.#udp.bind(server.port, "127.0.0.1");
    await once(server.#udp, "listening");
    server.#udp.on("message", (bytes, peer) => {
      for (const answer of server.#answer(bytes, "udp")) server.#udp.send(answer, peer.port, peer.address);
    });
    server.#tcp.on("connection", (socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", (bytes: Buffer) => {
        for (const answer of server.#answer(bytes.subarray(2), "tcp")) {
          const length = Buffer.from([answer.length >> 8, answer.length & 255]);
          for (const byte of Buffer.concat([length, answer])) socket.write(Buffer.from([byte]));
        }
      });
    });
    return server;
  }

  get port(): number {
    const address = this.#tcp.address();
    if (address === null || typeof address === "string") throw new Error("Not listening");
    return address.port;
  }

  async stop(): Promise<void> {
    this.#udp.close();
    await new Promise((resolve) => this.#tcp.close(resolve));
  }

  #answer(bytes: Buffer, over: "udp" | "tcp"): readonly Uint8Array[] {
    const query = decode(bytes);
    const [question] = query.questions ?? [];
    const key = `${question?.name.toLowerCase()} ${question?.type}`;
    this.asked.push(`${key} ${over}`);
    this.queries.push(query);
    const entry = this.zone[key];
    if (entry?.silent) return [];
    const truncated = over === "udp" && entry?.truncated === true;
    const forged = entry?.forged?.(query);
    const answer = encode({
      type: "response",
      ...(query.id !== undefined && { id: query.id }),
      questions: query.questions ?? [],
      answers: truncated ? [] : [...(entry?.answers ?? [])],
      flags:
        RECURSION_AVAILABLE |
        (entry?.rcode ?? 0) |
        (truncated ? TRUNCATED_RESPONSE : 0) |
        (entry?.secure ? AUTHENTIC_DATA : 0),
    });
    if (forged === undefined) return [answer];
    return [forged instanceof Uint8Array ? forged : encode(forged), answer];
  }
}
