/** access/reply-text.ts: the replies of the restriction language, in Postfix's words (postfix.md §1.0), and the repair of
 *  enhanced status codes (RFC 3463) that do not fit the reply code or the thing that is refused. */
import type { Log } from "../log/log.ts";
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
  return shortened(code, repairDsn(dsn, code, subject.replyClass), `<${subject.name}>: ${text}`);
}

/** `CODE DSN TEXT` about nobody, printable, at most 510 characters. The status is taken as it is. */
export function shortened(code: number, dsn: string, text: string): Reply {
  const room = MAX_REPLY_CHARS - `${code} ${dsn} `.length;
  return reply(code, dsn, printableAscii(text).slice(0, room));
}

/** `451 4.3.0 <name>: Temporary lookup failure`. */
export function lookupFailure(subject: Subject): Reply {
  return about(451, "4.3.0", subject, "Temporary lookup failure");
}

/** The class digit follows the reply code; x.1.N (addresses) is mapped to what may be said about the subject. */
export function repairDsn(dsn: string, code: number, replyClass: ReplyClass): string {
  // x.1.10 comes from our own words only (null MX, RFC 7505 §4.2): tables go through fixDsn() first.
  const mapped = dsn.endsWith(".1.10") ? dsn : mapDsn(dsn, replyClass);
  return `${Math.floor(code / 100)}${mapped.slice(1)}`;
}

/** The status that a table may give to such a refusal. Logged where it is another than the table's. */
export function fixDsn(dsn: string, replyClass: ReplyClass, log: Log): string {
  const mapped = mapDsn(dsn, replyClass);
  if (mapped !== dsn) log.info(`mapping DSN status ${dsn} into ${replyClass} status ${mapped}`);
  return mapped;
}

/** Detail of x.1.N for senders and for recipients, by N; what is not here is x.1.0. */
const SENDER_DETAILS: Readonly<Record<string, string>> = { 2: "8", 3: "7", 7: "7", 8: "8" };
const RECIPIENT_DETAILS: Readonly<Record<string, string>> = {
  ...{ 1: "1", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6" },
  ...{ 7: "3", 8: "2" },
};

/** x.1.N (addresses) as it may be said about the subject; anything else stays. */
function mapDsn(dsn: string, replyClass: ReplyClass): string {
  const [first = "5", topic, detail = "0"] = dsn.split(".");
  if (topic !== "1") return dsn;
  if (replyClass === "Sender address") return `${first}.1.${SENDER_DETAILS[detail] ?? "0"}`;
  if (replyClass === "Recipient address") return `${first}.1.${RECIPIENT_DETAILS[detail] ?? "0"}`;
  return `${first}.0.0`;
}
