/** smtpd/mail-parameters.ts: the parameters of MAIL and RCPT (RFC 1870, 6152, 6531, 4954 §5). Pure. DSN parameters
 *  (RFC 3461) are recognised to be refused: DSN is not announced. */

import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";

export interface MailParameters {
  readonly size: number | undefined;
  readonly body: "7BIT" | "8BITMIME";
  readonly smtputf8: boolean;
  /** Decoded AUTH=; undefined for none and for `<>`. */
  readonly auth: string | undefined;
}

export type ParameterOutcome<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "bad"; readonly reply: Reply };

const DSN_DISABLED = reply(501, "5.7.1", "DSN support is disabled");
/** Larger than any file: Postfix's off_t. */
const MAX_SIZE = 2n ** 63n - 1n;

/** Parameters of MAIL, separated by blanks. */
export function parseMailParameters(
  text: string,
  offered: { readonly smtputf8: boolean },
): ParameterOutcome<MailParameters> {
  const found = { size: undefined as number | undefined, body: "7BIT" as "7BIT" | "8BITMIME", smtputf8: false };
  let auth: string | undefined;
  let authSeen = false;
  for (const word of words(text)) {
    const { name, value } = split(word);
    if (name === "SIZE" && value !== undefined) {
      const size = found.size === undefined ? parseSize(value) : reply(501, "5.5.4", "Bad message size syntax");
      if (typeof size !== "number") return bad(size);
      found.size = size;
    } else if (name === "BODY" && (value?.toUpperCase() === "7BIT" || value?.toUpperCase() === "8BITMIME")) {
      found.body = value.toUpperCase() === "7BIT" ? "7BIT" : "8BITMIME";
    } else if (name === "SMTPUTF8" && value === undefined && offered.smtputf8) found.smtputf8 = true;
    else if (name === "AUTH" && value !== undefined) {
      if (authSeen) return bad(reply(503, "5.5.4", "Error: multiple AUTH= options"));
      authSeen = true;
      const decoded = decodeXtext(value);
      if (decoded === undefined) return bad(reply(501, "5.5.4", "Bad AUTH parameter syntax"));
      auth = decoded === "<>" ? undefined : decoded;
    } else if (name === "RET" || name === "ENVID") return bad(DSN_DISABLED);
    else return bad(unsupported(word));
  }
  return { kind: "ok", value: { ...found, auth } };
}

/** The refusal of RCPT's parameters: none is offered. undefined: there are none. */
export function checkRcptParameters(text: string): Reply | undefined {
  for (const word of words(text)) {
    const { name } = split(word);
    return name === "NOTIFY" || name === "ORCPT" ? DSN_DISABLED : unsupported(word);
  }
  return undefined;
}

/** xtext (RFC 3461 §4): printable ASCII, `+HH` for the rest. The decoded text may not hold controls. */
export function decodeXtext(text: string): string | undefined {
  if (!/^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})+$/.test(text)) return undefined;
  const decoded = text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return /[\x00-\x1f\x7f-\xff]/.test(decoded) ? undefined : decoded;
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
