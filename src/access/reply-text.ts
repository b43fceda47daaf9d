/** access/reply-text.ts: the replies of the restriction language, in Postfix's words (postfix.md §1.0), and the repair of
 *  enhanced status codes (RFC 3463) that do not fit the reply code or the thing that is refused. */
import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";

export type ReplyClass =
  | "Client host"
  | "Unverified Client host"
  | "Client certificate"
  | "SASL login name"
  | "Helo command"
  | "Sender address"
  | "Recipient address"
  | "Etrn command"
  | "Data command"
  | "End-of-data";

/** What a reply speaks about: `<name>: class rejected: …`. */
export interface Subject {
  readonly name: string;
  readonly replyClass: ReplyClass;
}

/** Longest reply without CRLF, code and status included (RFC 5321 §4.5.3.1.5). */
const MAX_REPLY_CHARS = 510;

/** The reply to a configuration that cannot work: unknown word, missing argument, recursion. */
export const CONFIGURATION_ERROR: Reply = reply(451, "4.3.5", "Server configuration error");

/** `CODE DSN <name>: CLASS rejected: TEXT`. */
export function rejected(code: number, dsn: string, subject: Subject, text: string): Reply {
  return about(code, dsn, subject, `${subject.replyClass} rejected: ${text}`);
}

/** `CODE DSN <name>: TEXT`, printable, at most 510 characters, with a status that fits. */
export function about(code: number, dsn: string, subject: Subject, text: string): Reply {
  const status = repairDsn(dsn, code, subject.replyClass);
  const room = MAX_REPLY_CHARS - `${code} ${status} `.length;
  return reply(code, status, printableAscii(`<${subject.name}>: ${text}`).slice(0, room));
}

/** `451 4.3.0 <name>: Temporary lookup failure`. */
export function lookupFailure(subject: Subject): Reply {
  return about(451, "4.3.0", subject, "Temporary lookup failure");
}

/** The class digit follows the reply code; x.1.N (addresses) is mapped to what may be said about the subject. */
export function repairDsn(dsn: string, code: number, replyClass: ReplyClass): string {
  const [, topic = "0", detail = "0"] = dsn.split(".");
  const first = Math.floor(code / 100);
  if (topic !== "1") return `${first}.${topic}.${detail}`;
  const n = Number(detail);
  if (replyClass === "Sender address") return `${first}.1.${senderDetail(n)}`;
  if (replyClass === "Recipient address") return `${first}.1.${recipientDetail(n)}`;
  return `${first}.0.0`;
}

function senderDetail(n: number): number {
  if (n === 2) return 8;
  if (n === 3) return 7;
  return n === 7 || n === 8 ? n : 0;
}

function recipientDetail(n: number): number {
  if (n === 7) return 3;
  if (n === 8) return 2;
  return n <= 6 || n === 10 ? n : 0; // x.1.10: null MX, RFC 7505 §4.2
}
