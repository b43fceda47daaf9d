/** net/proxy-protocol.ts: the PROXY header that a load balancer sends in front of a connection (PROXY protocol versions 1
 *  and 2): who the client is, and which of our addresses it connected to. Pure; asks for its bytes a few at a time, so
 *  that nothing behind the header is ever taken. Stricter than some: any deviation is an error, because whoever can
 *  bend the header chooses his own address. Errors are in Postfix's words. */
import { canonicalIp, formatIp, parseAddress } from "../base/cidr.ts";

export interface ProxiedEndpoint {
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  | { readonly kind: "proxied"; readonly client: ProxiedEndpoint; readonly server: ProxiedEndpoint }
  /** Version 2 LOCAL: the balancer speaks for itself, the addresses of the socket stand. */
  | { readonly kind: "local" }
  /** `text` is Postfix's; `shown` the bytes so far, one character each, not yet printable. */
  | { readonly kind: "bad"; readonly text: string; readonly shown: string };

const V1_MAGIC = Buffer.from("PROXY ");
/** With CRLF, as the specification counts. */
const V1_MAX = 107;
const V2_MAGIC = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const V2_FIXED = 16;
/** Addresses and extensions behind the fixed part. Balancers send a few hundred bytes at most. */
const V2_MAX_REST = 4096;

const LF = 10;

/** Reads one header. Give it exactly the bytes it wants, or fewer. */
export class ProxyHeaderReader {
  #bytes = Buffer.alloc(0);

  /** How many bytes it can take now without reading beyond the header; at least 1. */
  get wanted(): number {
    const have = this.#bytes.length;
    // The end of version 1 is a line end, which may come with each byte.
    if (this.#bytes[0] !== V2_MAGIC[0]) return 1;
    if (have < V2_FIXED) return V2_FIXED - have;
    return V2_FIXED + this.#bytes.readUInt16BE(14) - have;
  }

  /** Takes at most `wanted` bytes. undefined: more are needed. After an answer the reader is of no further use. */
  push(chunk: Uint8Array): ProxyHeader | undefined {
    if (chunk.length > this.wanted) throw new RangeError("More bytes than the header needs");
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const bytes = this.#bytes;
    if (bytes.length === 0) return undefined;
    return bytes[0] === V2_MAGIC[0] ? readV2(bytes) : readV1(bytes);
  }
}

function bad(text: string, bytes: Buffer): ProxyHeader {
  return { kind: "bad", text, shown: bytes.toString("latin1", 0, V1_MAX) };
}

/** Whether the bytes so far can be the beginning of `magic`, or begin with it. */
function fits(bytes: Buffer, magic: Buffer): boolean {
  const length = Math.min(bytes.length, magic.length);
  return bytes.subarray(0, length).equals(magic.subarray(0, length));
}

function readV1(bytes: Buffer): ProxyHeader | undefined {
  if (!fits(bytes, V1_MAGIC)) return bad("bad or missing protocol header", bytes);
  if (bytes.at(-1) !== LF) return bytes.length < V1_MAX ? undefined : bad("missing protocol header terminator", bytes);
  const line = bytes.toString("latin1");
  if (!line.endsWith("\r\n")) return bad("missing protocol header terminator", bytes);
  const fields = line.slice(0, -2).split(" ");
  const [, protocol, from, to, fromPort, toPort] = fields;
  // UNKNOWN is refused, as in Postfix: with the balancer's own address the client would pass as one of $mynetworks.
  const family = protocol === "TCP4" ? 4 : protocol === "TCP6" ? 6 : undefined;
  if (family === undefined) return bad("bad or missing protocol type", bytes);
  const clientAddress = readAddress(from, family);
  if (clientAddress === undefined) return bad("bad or missing client address", bytes);
  const serverAddress = readAddress(to, family);
  if (serverAddress === undefined) return bad("bad or missing server address", bytes);
  const clientPort = readPort(fromPort);
  if (clientPort === undefined) return bad("bad or missing client port", bytes);
  const serverPort = readPort(toPort);
  if (serverPort === undefined) return bad("bad or missing server port", bytes);
  if (fields.length > 6) return bad("missing protocol header terminator", bytes);
  return {
    kind: "proxied",
    client: { address: clientAddress, port: clientPort },
    server: { address: serverAddress, port: serverPort },
  };
}

/** Canonical text; an IPv4-mapped IPv6 address becomes IPv4. */
function readAddress(text: string | undefined, family: 4 | 6): string | undefined {
  if (text === undefined || text.includes(":") !== (family === 6)) return undefined;
  return canonicalIp(text);
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

/** Bytes of one address by protocol: TCP over IPv4 and IPv6, nothing else. */
const V2_ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x11, 4],
  [0x21, 16],
]);

function readV2(bytes: Buffer): ProxyHeader | undefined {
  if (!fits(bytes, V2_MAGIC)) return bad("bad or missing protocol header", bytes);
  if (bytes.length < V2_FIXED) return undefined;
  const command = bytes[12];
  if (command !== 0x20 && command !== 0x21) return bad("bad command in proxy header", bytes);
  const rest = bytes.readUInt16BE(14);
  if (rest > V2_MAX_REST) return bad("protocol header too long", bytes);
  const addressBytes = V2_ADDRESS_BYTES.get(bytes[13] ?? 0);
  if (command === 0x21 && addressBytes === undefined) return bad("unsupported network protocol", bytes);
  if (command === 0x21 && rest < 2 * (addressBytes ?? 0) + 4) return bad("short address field", bytes);
  if (bytes.length < V2_FIXED + rest) return undefined;
  if (command === 0x20 || addressBytes === undefined) return { kind: "local" };
  const client = addressAt(bytes, V2_FIXED, addressBytes);
  const server = addressAt(bytes, V2_FIXED + addressBytes, addressBytes);
  const ports = V2_FIXED + 2 * addressBytes;
  return {
    kind: "proxied",
    client: { address: client, port: bytes.readUInt16BE(ports) },
    server: { address: server, port: bytes.readUInt16BE(ports + 2) },
  };
}

function addressAt(bytes: Buffer, offset: number, length: number): string {
  const words: number[] = [];
  for (let at = offset; at < offset + length; at += 4) words.push(bytes.readUInt32BE(at));
  const text = formatIp({ family: length === 4 ? 4 : 6, words });
  const parsed = parseAddress(text); // an IPv4-mapped address is IPv4
  return parsed === undefined ? text : formatIp(parsed);
}
