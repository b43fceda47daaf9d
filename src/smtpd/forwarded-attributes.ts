/** smtpd/forwarded-attributes.ts: the `NAME=value` words of XCLIENT and XFORWARD: xtext, lengths, and what the values may
 *  be. Pure. Replies are Postfix's. A command is taken as a whole or not at all. */
import { isUtf8 } from "node:buffer";
import { isHostname } from "../access/hostname.ts";
import { canonicalIp } from "../base/cidr.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";

export interface Attribute {
  /** Upper case. */
  readonly name: string;
  /** Decoded and printable. */
  readonly value: string;
}

/** A value as text; null where the client says that there is none ([UNAVAILABLE]). */
export type ForwardedValue = string | null;

export type Read<T> = { readonly value: T } | { readonly refused: Reply };

/** Bytes of an encoded value. */
const MAX_VALUE = 255;
export const UNAVAILABLE = "[UNAVAILABLE]";
export const TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]";

/** The words behind the verb. */
export function splitAttributes(args: string): Read<readonly Attribute[]> {
  const words = args.split(/[ \t]+/).filter(Boolean);
  const attributes: Attribute[] = [];
  for (const word of words) {
    const equals = word.indexOf("=");
    const raw = word.slice(equals + 1);
    if (equals < 0 || raw === "") return { refused: reply(501, "5.5.4", "Error: attribute=value expected") };
    if (Buffer.byteLength(raw) > MAX_VALUE) {
      return { refused: reply(501, "5.5.4", "Error: attribute value too long") };
    }
    attributes.push({ name: word.slice(0, equals).toUpperCase(), value: decode(raw) });
  }
  return { value: attributes };
}

export function badName(verb: string, { name }: Attribute): Reply {
  return reply(501, "5.5.4", `Bad ${verb} attribute name: ${printableAscii(name).slice(0, 100)}`);
}

export function badValue({ name, value }: Attribute): Reply {
  return reply(501, "5.5.4", `Bad ${name} syntax: ${printableAscii(value)}`);
}

/** xtext (RFC 3461 §4). What is no xtext stands for itself: before Postfix 2.3 values were not encoded. */
function decode(raw: string): string {
  if (/\+(?![0-9A-Fa-f]{2})/.test(raw)) return printableUtf8(raw);
  const bytes = Buffer.from(
    Buffer.from(raw)
      .toString("latin1")
      .replace(/\+([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
  return printableUtf8(bytes.toString(isUtf8(bytes) ? "utf8" : "latin1"));
}

function isUnavailable(value: string): boolean {
  return value.toUpperCase() === UNAVAILABLE;
}

/** Free text; blanks and characters that would change the extent of header fields and comments are masked. */
export function readText(attribute: Attribute, maxLength = MAX_VALUE): Read<ForwardedValue> {
  if (isUnavailable(attribute.value)) return { value: null };
  if (attribute.value.length > maxLength) return { refused: badValue(attribute) };
  return { value: attribute.value.replace(/[ <>()\\";@]/g, "?") };
}

export function readName(attribute: Attribute): Read<ForwardedValue> {
  if (isUnavailable(attribute.value)) return { value: null };
  return isHostname(attribute.value) ? { value: attribute.value } : { refused: badValue(attribute) };
}

/** `192.0.2.1` or `IPv6:2001:db8::1`; canonical, so that tables find it. */
export function readAddress(attribute: Attribute): Read<ForwardedValue> {
  if (isUnavailable(attribute.value)) return { value: null };
  const v6 = /^ipv6:(.*:.*)$/i.exec(attribute.value)?.[1];
  const text = v6 ?? (attribute.value.includes(":") ? undefined : attribute.value);
  const address = text === undefined ? undefined : canonicalIp(text);
  return address === undefined ? { refused: badValue(attribute) } : { value: address };
}

/** 0 stands for unavailable. */
export function readPort(attribute: Attribute): Read<number> {
  if (isUnavailable(attribute.value)) return { value: 0 };
  const port = /^\d{1,5}$/.test(attribute.value) ? Number(attribute.value) : undefined;
  return port === undefined || port > 65_535 ? { refused: badValue(attribute) } : { value: port };
}
