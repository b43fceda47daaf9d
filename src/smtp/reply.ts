/** smtp/reply.ts: reads the peer's replies (RFC 5321 §4.2) as Postfix does: lines that are no reply are passed over with a
 *  warning, long ones are cut. Hostile peers are bounded: lines by the connection, their number here. */
import { printableAscii } from "../mail/printable.ts";
import { type ClientConnection, ConnectionError, MAX_LINE_BYTES } from "../net/client-connection.ts";

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

/** How all sessions of a client read replies. */
export interface SharedReplyRules {
  /** smtp_reply_filter: what to take for the line. Rejects ConnectionError of kind "local". */
  readonly filter?: ((line: string, queueId: string) => string | Promise<string>) | undefined;
  /** The time limit is for the whole reply (smtp_per_request_deadline), by this clock; undefined: for each line. */
  readonly now?: (() => number) | undefined;
}

/** How one session does. */
export interface ReplyRules {
  readonly filter?: ((line: string) => string | Promise<string>) | undefined;
  readonly now?: (() => number) | undefined;
  /** Told of each line that was cut, and of each that is no reply. */
  readonly odd: (what: "long" | "garbage", line: string) => void;
}

/** Of one reply; a peer that says more does not mean it. */
const MAX_LINES = 1000;
/** Of the text of one reply. */
const MAX_TEXT = 10 * MAX_LINE_BYTES;
const LINE = /^([0-9]{3})(?:([ -])(.*))?$/s;
const STATUS = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/;

const PLAIN: ReplyRules = { odd: () => undefined };

/** Reads one reply. Rejects ConnectionError: "protocol" for what has no end. */
export async function readReply(
  connection: ClientConnection,
  timeoutMs: number,
  rules: ReplyRules = PLAIN,
): Promise<PeerReply> {
  const raw: string[] = [];
  const lines: string[] = [];
  let length = 0;
  const until = rules.now && rules.now() + timeoutMs;
  for (let n = 0; n < MAX_LINES; n++) {
    const leftMs = until === undefined || !rules.now ? timeoutMs : Math.max(1, until - rules.now());
    const available = connection.readLine(leftMs);
    let line = printableAscii(typeof available === "string" ? available : await available);
    if (line.length >= MAX_LINE_BYTES) rules.odd("long", line);
    if (rules.filter) line = await rules.filter(line);
    length += line.length;
    if (length <= MAX_TEXT) raw.push(line);
    const m = LINE.exec(line);
    if (!m) {
      rules.odd("garbage", line);
      continue;
    }
    lines.push(m[3] ?? "");
    if (m[2] !== "-") return makeReply(Number(m[1]), raw, lines);
  }
  throw new ConnectionError("protocol", "reply of too many lines");
}

function makeReply(code: number, raw: readonly string[], lines: readonly string[]): PeerReply {
  const status = STATUS.exec(lines.at(-1) ?? "")?.[1];
  const dsn = status?.[0] === String(code)[0] ? status : undefined;
  return { code, dsn, text: raw.join(" "), lines };
}

/** The first digit, which alone decides (RFC 5321 §4.2.1). */
export function replyClass(reply: PeerReply): number {
  return Math.floor(reply.code / 100);
}
