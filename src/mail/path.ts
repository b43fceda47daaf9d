/** mail/path.ts: the address of MAIL FROM and RCPT TO (RFC 5321 §4.1.2), strict or as lax as Postfix is without
 *  strict_rfc821_envelopes. Source routes are read and ignored (RFC 5321 app. C). Not for header addresses. */
import { parseAddress } from "../base/cidr.ts";
import { type Address, asAddress, NULL_ADDRESS } from "./address.ts";

export interface PathOptions {
  /** Only RFC 5321 grammar: no blanks, brackets demanded. */
  readonly strict: boolean;
  /** Characters beyond ASCII are allowed (RFC 6531). */
  readonly utf8: boolean;
  /** `<>` is allowed: MAIL only. */
  readonly nullAllowed: boolean;
  /** The address itself as RFC 5321 §4.1.2 has it, whatever stands around it. */
  readonly strictAddress?: boolean;
  /** An address may begin with "-" (allow_min_user): programs would read it as an option. */
  readonly minUser?: boolean;
}

export interface ParsedPath {
  readonly address: Address;
  /** What stands behind the path, without leading blanks: the parameters. */
  readonly rest: string;
}

/** More than any RFC asks for (256, RFC 5321 §4.5.3.1.3); VERP and SRS senders are long. */
const MAX_ADDRESS_LENGTH = 1000;
const MAX_DOMAIN_LENGTH = 255;

const ATEXT = "A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~\\u0080-\\u{10ffff}";
const DOT_STRING = new RegExp(`^[${ATEXT}]+(?:\\.[${ATEXT}]+)*$`, "u");
/** As Postfix: dots anywhere, "@" and ":" of sender-specified routing; no blanks, quotes, brackets, controls. */
const LAX_LOCAL = new RegExp(`^[${ATEXT}.@:]+$`, "u");
const QUOTED_CONTENT = /^(?:[\x20-\x21\x23-\x5b\x5d-\x7e\u0080-\u{10ffff}]|\\[\x20-\x7e])*$/u;
const LABEL = /^(?!-)[A-Za-z0-9_\-\u0080-\u{10ffff}]{1,63}(?<!-)$/u;
const LITERAL = /^\[(ipv6:)?([^[\]]+)\]$/i;
const SOURCE_ROUTE = /^@[^:"<>\s]*:/;
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/** Parses the text behind `FROM:` or `TO:`. undefined: bad syntax. */
export function parsePath(text: string, options: PathOptions): ParsedPath | undefined {
  const start = options.strict ? text : text.trimStart();
  const split = start.startsWith("<") ? splitBracketed(start) : options.strict ? undefined : splitBare(start);
  if (split === undefined) return undefined;
  const inner = options.strict ? split.inner : split.inner.trim();
  if (inner === "")
    return options.nullAllowed && split.bracketed ? { address: NULL_ADDRESS, rest: split.rest } : undefined;
  const address = parseMailbox(inner, options.strictAddress ? { ...options, strict: true } : options);
  return address === undefined ? undefined : { address, rest: split.rest };
}

/** True if a bracket or quotation mark is open at the end. Postfix refuses such a line without a word in the log. */
export function isUnclosedPath(text: string): boolean {
  const start = text.trimStart();
  const end = start.startsWith("<") ? scanUntil(start, 1, (c) => c === ">") : scanUntil(start, 0, () => false);
  return end === undefined || (start.startsWith("<") && end === start.length);
}

interface Split {
  readonly inner: string;
  readonly rest: string;
  readonly bracketed: boolean;
}

/** `<inner> rest`: the bracket that ends the path is the first one outside quotes, and a blank or nothing follows. */
function splitBracketed(text: string): Split | undefined {
  const end = scanUntil(text, 1, (c) => c === ">");
  if (end === undefined || end === text.length) return undefined;
  const rest = text.slice(end + 1);
  if (rest !== "" && rest[0] !== " " && rest[0] !== "\t") return undefined;
  return { inner: text.slice(1, end), rest: rest.trimStart(), bracketed: true };
}

function splitBare(text: string): Split | undefined {
  const end = scanUntil(text, 0, (c) => c === " " || c === "\t");
  if (end === undefined) return undefined;
  return { inner: text.slice(0, end), rest: text.slice(end).trimStart(), bracketed: false };
}

/** Index of the first matching character outside quotes, or the length; undefined for an open quote. */
function scanUntil(text: string, from: number, matches: (c: string) => boolean): number | undefined {
  let quoted = false;
  for (let i = from; i < text.length; i++) {
    const c = text.charAt(i);
    if (quoted && c === "\\") i++;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && matches(c)) return i;
  }
  return quoted ? undefined : text.length;
}

function parseMailbox(inner: string, options: PathOptions): Address | undefined {
  const mailbox = inner.replace(SOURCE_ROUTE, "");
  if (mailbox.length > MAX_ADDRESS_LENGTH || CONTROL.test(mailbox) || !mailbox.isWellFormed()) return undefined;
  if (!options.utf8 && /[^\x00-\x7f]/.test(mailbox)) return undefined;
  const parts = splitMailbox(mailbox, options);
  if (parts === undefined) return undefined;
  const local = parseLocal(parts.local, options);
  if (local === undefined || local === "" || (local.startsWith("-") && !options.minUser)) return undefined;
  if (parts.domain === undefined) return asAddress(local);
  const domain = parseDomain(parts.domain, options);
  return domain === undefined ? undefined : asAddress(`${local}@${domain}`);
}

function splitMailbox(
  mailbox: string,
  options: PathOptions,
): { readonly local: string; readonly domain: string | undefined } | undefined {
  if (mailbox.startsWith('"')) {
    const end = scanUntil(mailbox, 0, (c) => c === "@");
    if (end === undefined) return undefined;
    const domain = end === mailbox.length ? undefined : mailbox.slice(end + 1);
    return { local: mailbox.slice(0, end), domain };
  }
  // Without quotes the last "@" counts; more than one is sender-specified routing, which strict syntax does not have.
  const at = mailbox.lastIndexOf("@");
  if (at < 0) return { local: mailbox, domain: undefined };
  if (options.strict && mailbox.indexOf("@") !== at) return undefined;
  return { local: mailbox.slice(0, at), domain: mailbox.slice(at + 1) };
}

/** The local part without quotes (SMTP-33: all quoted forms are the same mailbox). */
function parseLocal(text: string, options: PathOptions): string | undefined {
  if (!text.startsWith('"')) {
    const plain = !options.strict && text.includes("\\") ? text.replace(/\\(.)/gu, "$1") : text;
    return (options.strict ? DOT_STRING : LAX_LOCAL).test(plain) ? plain : undefined;
  }
  if (text.length < 2 || !text.endsWith('"')) return undefined;
  const content = text.slice(1, -1);
  if (!QUOTED_CONTENT.test(content)) return undefined;
  return content.replace(/\\(.)/gu, "$1");
}

function parseDomain(text: string, options: PathOptions): string | undefined {
  if (text.startsWith("[")) return isAddressLiteral(text) ? text : undefined;
  const domain = !options.strict && text.endsWith(".") ? text.slice(0, -1) : text;
  if (domain.length > MAX_DOMAIN_LENGTH) return undefined;
  if (options.strictAddress && domain.includes("_")) return undefined;
  const labels = domain.split(".");
  if (!labels.every((label) => LABEL.test(label))) return undefined;
  // An address without brackets is no host name (Postfix resolve_numeric_domain = no).
  return labels.every((label) => /^\d+$/.test(label)) ? undefined : domain;
}

/** `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3): colons only behind the tag, and of 0.x.x.x only 0.0.0.0. */
function isAddressLiteral(text: string): boolean {
  const [, tag, inner = ""] = LITERAL.exec(text) ?? [];
  if (inner.includes(":") !== (tag !== undefined) || parseAddress(inner) === undefined) return false;
  return !inner.startsWith("0.") || inner === "0.0.0.0";
}
