/** smtp/reply.ts: reads the peer's replies (RFC 5321 §4.2). Hostile peers are bounded: lines by the connection, their
 *  number here. */

import { printableAscii } from "../mail/printable.ts";
import { type ClientConnection, ConnectionError } from "../net/client-connection.ts";

/** One reply of the peer, printable. */
export interface PeerReply {
  readonly code: number;
  /** Enhanced status of the last line, if it fits the code (RFC 2034 §4). */
  readonly dsn: string | undefined;
  /** All lines as they came, codes included, joined by a blank: what logs and bounces show. */
  readonly text: string;
  /** The lines without code. */
  readonly lines: readonly string[];
}

const MAX_LINES = 100;
const LINE = /^([2-5]\d\d)(?:([ -])(.*))?$/s;
const STATUS = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/;

/** Reads one reply. Rejects ConnectionError: "protocol" for what is no reply. */
export async function readReply(connection: ClientConnection, timeoutMs: number): Promise<PeerReply> {
  const raw: string[] = [];
  const lines: string[] = [];
  for (;;) {
    const available = connection.readLine(timeoutMs);
    const line = typeof available === "string" ? available : await available;
    const m = LINE.exec(line);
    if (!m || raw.length >= MAX_LINES) throw new ConnectionError("protocol", "malformed reply");
    raw.push(printableAscii(line));
    lines.push(printableAscii(m[3] ?? ""));
    if (m[2] !== "-") return makeReply(Number(m[1]), raw, lines);
  }
}

function makeReply(code: number, raw: readonly string[], lines: readonly string[]): PeerReply {
  const status = STATUS.exec(lines.at(-1) ?? "")?.[1];
  const dsn = status?.[0] === String(code)[0] ? status : undefined;
  return { code, dsn, text: raw.join(" "), lines };
}

/** 2, 3, 4 or 5. */
export function replyClass(reply: PeerReply): number {
  return Math.floor(reply.code / 100);
}
