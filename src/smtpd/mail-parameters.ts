/** smtpd/mail-parameters.ts: the parameters of MAIL and RCPT (RFC 1870, 6152, 6531, 4954 §5; those of RFC 3461 are in
 *  dsn-parameters.ts, those that only submission has in submission-parameters.ts). Pure. */

import type { MessageDsn, RecipientDsn } from "../mail/dsn.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { decodeXtext, encodeXtext } from "../mail/xtext.ts";
import { DSN_DISABLED, DSN_OF_MAIL, DSN_OF_RCPT, type DsnSoFar, notifyWarning } from "./dsn-parameters.ts";
import {
  contradiction,
  type OfferedSubmission,
  type Submission,
  type SubmissionSoFar,
  takerOf,
} from "./submission-parameters.ts";

export interface MailParameters {
  readonly size: number | undefined;
  readonly body: Envelope["body"];
  readonly smtputf8: boolean;
  readonly requireTls: boolean;
  /** Decoded AUTH=; undefined for none and for `<>`. */
  readonly auth: string | undefined;
  /** undefined: nothing asked. */
  readonly dsn: MessageDsn | undefined;
  /** undefined: nothing asked. */
  readonly submission: Submission | undefined;
}

/** Extensions that this client may use. */
export interface OfferedExtensions {
  readonly smtputf8: boolean;
  readonly dsn: boolean;
  readonly requireTls?: boolean | undefined;
  readonly binaryMime?: boolean | undefined;
  /** postern_lenient_envid: an ENVID that is not xtext stands for itself. */
  readonly lenientEnvid?: boolean;
  /** undefined: none of these. */
  readonly submission?: OfferedSubmission | undefined;
}

export type ParameterOutcome<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "bad"; readonly reply: Reply; readonly warning?: string | undefined };

/** Larger than any file: Postfix's off_t. */
const MAX_SIZE = 2n ** 63n - 1n;

/** Parameters of MAIL, separated by blanks. */
export function parseMailParameters(text: string, offered: OfferedExtensions): ParameterOutcome<MailParameters> {
  const found: Found = { size: undefined, body: "7BIT", smtputf8: false, requireTls: false };
  let auth: string | undefined;
  let authSeen = false;
  const dsn: DsnSoFar = {};
  const asked: SubmissionSoFar = {};
  for (const word of words(text)) {
    const { name, value } = split(word);
    const takeDsn = value === undefined ? undefined : DSN_OF_MAIL.get(name);
    const takeAsked = value === undefined ? undefined : takerOf(name, offered.submission);
    if (takeDsn && value !== undefined) {
      const given = offered.lenientEnvid && name === "ENVID" ? asXtext(value) : value;
      const refused = offered.dsn ? takeDsn(dsn, given) : DSN_DISABLED;
      if (refused) return bad(refused);
    } else if (takeAsked && value !== undefined) {
      const refused = takeAsked(asked, value);
      if (refused) return bad(refused);
    } else if (name === "SIZE" && value !== undefined) {
      const size = found.size === undefined ? parseSize(value) : reply(501, "5.5.4", "Bad message size syntax");
      if (typeof size !== "number") return bad(size);
      found.size = size;
    } else if (name === "BODY" && bodyOf(value, offered) !== undefined) found.body = bodyOf(value, offered) ?? "7BIT";
    else if (name === "REQUIRETLS" && (offered.requireTls || value !== undefined)) {
      if (found.requireTls || value !== undefined) return bad(reply(501, "5.5.4", "Bad REQUIRETLS parameter syntax"));
      found.requireTls = true;
    } else if (name === "SMTPUTF8" && value === undefined && offered.smtputf8) found.smtputf8 = true;
    else if (name === "AUTH" && value !== undefined) {
      if (authSeen) return bad(reply(503, "5.5.4", "Error: multiple AUTH= options"));
      authSeen = true;
      const decoded = decodeXtext(value);
      if (decoded === undefined) return bad(reply(501, "5.5.4", "Bad AUTH parameter syntax"));
      auth = decoded === "<>" ? undefined : decoded;
    } else return bad(unsupported(word));
  }
  const wrong = contradiction(asked);
  if (wrong) return bad(wrong);
  return { kind: "ok", value: { ...found, auth, dsn: anyOf(dsn), submission: anyOf(asked) } };
}

interface Found {
  size: number | undefined;
  body: Envelope["body"];
  smtputf8: boolean;
  requireTls: boolean;
}

/** undefined: no such kind of content, or not offered. */
function bodyOf(value: string | undefined, { binaryMime }: OfferedExtensions): Envelope["body"] | undefined {
  const word = value?.toUpperCase();
  if (word === "7BIT" || word === "8BITMIME") return word;
  return word === "BINARYMIME" && binaryMime ? word : undefined;
}

/** Parameters of RCPT: only those of DSN. undefined: nothing asked. */
export function parseRcptParameters(
  text: string,
  offered: Pick<OfferedExtensions, "dsn">,
): ParameterOutcome<RecipientDsn | undefined> {
  const dsn: DsnSoFar = {};
  for (const word of words(text)) {
    const { name, value } = split(word);
    const takeDsn = DSN_OF_RCPT.get(name);
    if (takeDsn === undefined || value === undefined) return bad(unsupported(word));
    const refused = offered.dsn ? takeDsn(dsn, value) : DSN_DISABLED;
    const warning = refused && offered.dsn && name === "NOTIFY" ? notifyWarning(value) : undefined;
    if (refused) return { kind: "bad", reply: refused, warning };
  }
  return { kind: "ok", value: anyOf(dsn) };
}

/** What is no xtext, as xtext that stands for itself: Thunderbird sends its Message-ID as it is. */
function asXtext(value: string): string {
  return decodeXtext(value) === undefined ? encodeXtext(value) : value;
}

function anyOf<T extends object>(asked: T): T | undefined {
  return Object.keys(asked).length === 0 ? undefined : asked;
}

function parseSize(value: string): number | Reply {
  if (!/^\d{1,20}$/.test(value)) return reply(501, "5.5.4", "Bad message size syntax");
  if (BigInt(value) > MAX_SIZE) return reply(552, "5.3.4", "Message size exceeds file system imposed limit");
  return Number(value);
}

function words(text: string): readonly string[] {
  return text.split(/[ \t]+/).filter(Boolean);
}

function split(word: string): { readonly name: string; readonly value: string | undefined } {
  const equals = word.indexOf("=");
  if (equals < 0) return { name: word.toUpperCase(), value: undefined };
  return { name: word.slice(0, equals).toUpperCase(), value: word.slice(equals + 1) };
}

function unsupported(word: string): Reply {
  return reply(555, "5.5.4", `Unsupported option: ${printableAscii(word).slice(0, 400)}`);
}

function bad(r: Reply): { readonly kind: "bad"; readonly reply: Reply } {
  return { kind: "bad", reply: r };
}
