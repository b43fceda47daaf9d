/** dns/stub.ts: a stub resolver that asks for DNSSEC (RFC 4035 §4.9): it sets DO and AD, follows the aliases of an answer,
 *  and says whether the name server vouches for all of it. It validates nothing itself: the AD bit counts only from name
 *  servers that the caller trusts, on a path that nobody else can write to. Node's own resolver does not show that bit. */
import { randomInt } from "node:crypto";
import { type Answer, AUTHENTIC_DATA, type DecodedPacket, decode, encode, RECURSION_DESIRED } from "dns-packet";
import type { Clock } from "../base/clock.ts";
import { exchangeDatagram, exchangeStream, type NameServer } from "../net/dns-exchange.ts";
import { NO_RECORD, NOT_FOUND, TEMPORARY } from "./failure.ts";
import type { DnsFailure } from "./resolver.ts";

export interface StubServer extends NameServer {
  /** Its AD bit is believed. */
  readonly trusted: boolean;
}

export interface StubOptions {
  /** Asked in turn, at least one. */
  readonly servers: readonly StubServer[];
  readonly clock: Pick<Clock, "after">;
  /** Of one try; each server gets two. */
  readonly timeoutMs: number;
}

export type StubType = "A" | "AAAA" | "MX" | "TLSA" | "CNAME" | "TXT" | "PTR" | "SRV" | "CAA";

/** Records of the type asked for, under the name that the aliases lead to. */
export interface StubRecords {
  readonly kind: "found";
  readonly records: readonly Answer[];
  /** The whole answer is signed and valid, says a trusted server. */
  readonly secure: boolean;
  /** Lower case, no final dot. */
  readonly canonical: string;
  readonly ttlMs: number;
}

/** What a UDP answer may weigh without fragments (DNS flag day 2020). */
const PAYLOAD_BYTES = 1232;
const TRIES = 2;
const MAX_ALIASES = 10;
const RCODE_NXDOMAIN = 3;
const MAX_TTL_S = 86_400;

export class StubResolver {
  readonly #options: StubOptions;

  constructor(options: StubOptions) {
    this.#options = options;
  }

  /** `name`: lower case A-labels without final dot. Never rejects. A bogus answer is temporary: validating servers say
   *  SERVFAIL to it. */
  async ask(name: string, type: StubType): Promise<StubRecords | DnsFailure> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      for (const server of this.#options.servers) {
        const packet = await this.#query(server, name, type);
        const answer = packet && read(packet, { name, type, trusted: server.trusted });
        if (answer) return answer;
      }
    }
    return TEMPORARY;
  }

  /** undefined: this server does not answer, or not in a way that can be read. */
  async #query(server: StubServer, name: string, type: StubType): Promise<DecodedPacket | undefined> {
    const id = randomInt(0x1_0000);
    const query = encode({
      type: "query",
      id,
      flags: RECURSION_DESIRED | AUTHENTIC_DATA,
      questions: [{ name, type, class: "IN" }],
      additionals: [
        {
          type: "OPT",
          name: ".",
          udpPayloadSize: PAYLOAD_BYTES,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0x8000,
          flag_do: true,
          options: [],
        },
      ],
    });
    let packet: DecodedPacket | undefined;
    const options = {
      ...this.#options,
      accepts: (bytes: Buffer) => {
        packet = answerTo(bytes, { id, name, type });
        return packet !== undefined;
      },
    };
    try {
      await exchangeDatagram(query, server, options);
      if (packet?.flag_tc) await exchangeStream(query, server, options);
      return packet;
    } catch {
      return undefined; // the next server, then "try again"
    }
  }
}

/** The message if it answers this question. */
function answerTo(bytes: Buffer, asked: { id: number; name: string; type: StubType }): DecodedPacket | undefined {
  let packet: DecodedPacket;
  try {
    packet = decode(bytes);
  } catch {
    return undefined;
  }
  const question = packet.questions?.[0];
  const same = question !== undefined && bare(question.name) === asked.name && question.type === asked.type;
  return packet.flag_qr && packet.id === asked.id && same ? packet : undefined;
}

/** undefined: the server failed, another may know. */
function read(
  packet: DecodedPacket,
  { name, type, trusted }: { name: string; type: StubType; trusted: boolean },
): StubRecords | DnsFailure | undefined {
  const rcode = (packet.flags ?? 0) & 0xf;
  if (rcode === RCODE_NXDOMAIN) return NOT_FOUND;
  if (rcode !== 0) return undefined;
  const answers = packet.answers ?? [];
  const canonical = type === "CNAME" ? name : follow(name, answers);
  const records = answers.filter((record) => record.type === type && bare(record.name) === canonical);
  if (records.length === 0) return NO_RECORD;
  const ttls = answers.flatMap((record) => ("ttl" in record && record.ttl !== undefined ? [record.ttl] : []));
  const ttlMs = Math.min(MAX_TTL_S, ...ttls) * 1000;
  return { kind: "found", records, secure: trusted && packet.flag_ad, canonical, ttlMs };
}

/** The name at the end of the aliases. */
function follow(name: string, answers: readonly Answer[]): string {
  let current = name;
  for (let i = 0; i < MAX_ALIASES; i++) {
    const alias = answers.find((record) => record.type === "CNAME" && bare(record.name) === current);
    if (alias?.type !== "CNAME" || typeof alias.data !== "string") break;
    current = bare(alias.data);
  }
  return current;
}

/** A name as this room writes it. */
export function bare(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
