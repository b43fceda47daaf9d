/** tables/memcache-wire.ts: memcached's text protocol, as far as a table needs it: `get` and `set`. Pure. A key that the
 *  protocol cannot carry never becomes a request. */
import { printableAscii } from "../mail/printable.ts";
import type { Parsed, ReplyParser } from "./peer-exchange.ts";

/** memcached's limit, in bytes. */
const KEY_LIMIT_BYTES = 250;
const LF = 10;

declare const brand: unique symbol;
/** 1 to 250 bytes without blanks and control characters; only parseMemcacheKey() makes one. */
export type MemcacheKey = string & { readonly [brand]: "MemcacheKey" };

export interface MemcacheLimits {
  /** line_size_limit and data_size_limit, in bytes. */
  readonly line: number;
  readonly data: number;
}

export type GetReply = { readonly kind: "found"; readonly value: string } | { readonly kind: "notFound" };

/** The key, or what is wrong with it. */
export function parseMemcacheKey(text: string): { readonly key: MemcacheKey } | { readonly problem: string } {
  if (text === "") return { problem: "empty lookup key expansion" };
  if (/\s/.test(text)) return { problem: "name contains space" };
  if (/[\x00-\x1f\x7f]/.test(text) || !text.isWellFormed()) return { problem: "name contains a control character" };
  if (Buffer.byteLength(text) > KEY_LIMIT_BYTES) return { problem: `name is longer than ${KEY_LIMIT_BYTES} bytes` };
  return { key: text as MemcacheKey };
}

export function formatGet(key: MemcacheKey): Buffer {
  return Buffer.from(`get ${key}\r\n`);
}

export function formatSet(
  key: MemcacheKey,
  value: Uint8Array,
  options: { readonly flags: number; readonly ttl: number },
): Buffer {
  const head = Buffer.from(`set ${key} ${options.flags} ${options.ttl} ${value.length}\r\n`);
  return Buffer.concat([head, value, Buffer.from("\r\n")]);
}

/** Longest answer to `get`: VALUE line, bytes, END line. */
export function replyLimitBytes(limits: MemcacheLimits): number {
  return 2 * (limits.line + 2) + limits.data + 2;
}

/** Reads `END`, or `VALUE key flags length`, the bytes and `END`. An answer about another key is malformed. */
export function getParser(key: MemcacheKey, limits: MemcacheLimits): ReplyParser<GetReply> {
  return (bytes) => {
    const first = lineAt(bytes, 0, limits.line);
    if (!("text" in first)) return first;
    if (first.text === "END") return { kind: "reply", reply: { kind: "notFound" }, length: first.next };
    const [, of, digits] = /^VALUE (\S+) \d+ (\d{1,10})(?: \d+)?$/.exec(first.text) ?? [];
    if (of === undefined) return malformed(first.text);
    if (Buffer.from(of, "latin1").toString("utf8") !== key)
      return { kind: "malformed", why: "answer about another key" };
    const length = Number(digits);
    if (length > limits.data) {
      return { kind: "malformed", why: `${length} bytes of data are more than data_size_limit = ${limits.data}` };
    }
    const end = first.next + length;
    if (bytes.length < end + 2) return { kind: "more" };
    if (bytes.toString("latin1", end, end + 2) !== "\r\n")
      return { kind: "malformed", why: "no line end behind the data" };
    const last = lineAt(bytes, end + 2, limits.line);
    if (!("text" in last)) return last;
    if (last.text !== "END") return malformed(last.text);
    return {
      kind: "reply",
      reply: { kind: "found", value: bytes.toString("utf8", first.next, end) },
      length: last.next,
    };
  };
}

/** Reads `STORED`. */
export function setParser(limits: MemcacheLimits): ReplyParser<"stored"> {
  return (bytes) => {
    const first = lineAt(bytes, 0, limits.line);
    if (!("text" in first)) return first;
    return first.text === "STORED" ? { kind: "reply", reply: "stored", length: first.next } : malformed(first.text);
  };
}

type Line = { readonly text: string; readonly next: number };

/** The line that begins at `from`, without its end. */
function lineAt(
  bytes: Buffer,
  from: number,
  limit: number,
): Line | Extract<Parsed<never>, { kind: "more" | "malformed" }> {
  const end = bytes.indexOf(LF, from);
  if ((end < 0 ? bytes.length : end - 1) - from > limit) {
    return { kind: "malformed", why: `an answer line is longer than line_size_limit = ${limit}` };
  }
  if (end < 0) return { kind: "more" };
  return { text: bytes.toString("latin1", from, end).replace(/\r$/, ""), next: end + 1 };
}

function malformed(line: string): { readonly kind: "malformed"; readonly why: string } {
  return { kind: "malformed", why: `unexpected memcache server reply: ${printableAscii(line).slice(0, 100)}` };
}
