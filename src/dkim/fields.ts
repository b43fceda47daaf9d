/** dkim/fields.ts: which header fields a signature covers, and their canonical forms (RFC 6376 §3.4.1, §3.4.2, §5.4).
 *  Text is latin1: one character is one byte. */
import type { Canonicalization } from "./body-hash.ts";

/** A header field as it will be sent. */
export interface Field {
  /** Lower case. */
  readonly name: string;
  /** The whole field with its folding, without the final CRLF. */
  readonly text: string;
}

/** RFC 6376 §5.4.1, RFC 8058 §4 (List-Unsubscribe-Post), and what else says who wrote what to whom. Trace fields are not
 *  signed: the next hop changes them. */
export const SIGNED: readonly string[] = [
  "from",
  "sender",
  "reply-to",
  "to",
  "cc",
  "subject",
  "date",
  "message-id",
  "in-reply-to",
  "references",
  "mime-version",
  "content-type",
  "content-transfer-encoding",
  "content-disposition",
  "content-id",
  "content-description",
  "resent-date",
  "resent-from",
  "resent-sender",
  "resent-to",
  "resent-cc",
  "resent-message-id",
  "list-id",
  "list-help",
  "list-unsubscribe",
  "list-unsubscribe-post",
  "list-subscribe",
  "list-post",
  "list-owner",
  "list-archive",
  "feedback-id",
  "cfbl-address",
  "cfbl-feedback-id",
  "autocrypt",
  "openpgp",
];

/** Named once more than they occur, so that one that is added on the way breaks the signature (RFC 6376 §5.4.2, §8.15). */
const OVERSIGNED: ReadonlySet<string> = new Set([
  "from",
  "sender",
  "reply-to",
  "to",
  "cc",
  "subject",
  "date",
  "message-id",
  "mime-version",
  "content-type",
  "content-transfer-encoding",
]);

/** Names for h=, in the order in which their fields are hashed. */
export function signedNames(fields: readonly Field[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { name } of fields) counts.set(name, (counts.get(name) ?? 0) + 1);
  return SIGNED.flatMap((name) => {
    const times = (counts.get(name) ?? 0) + (OVERSIGNED.has(name) ? 1 : 0);
    return new Array<string>(times).fill(name);
  });
}

/** What is hashed of the fields that h= names: of several with one name the last comes first; one that is not there is
 *  nothing (§5.4.2). */
export function hashedFields(
  names: readonly string[],
  fields: readonly Field[],
  canonicalization: Canonicalization,
): string {
  const left = new Map<string, Field[]>();
  for (const field of fields) {
    const same = left.get(field.name);
    if (same) same.push(field);
    else left.set(field.name, [field]);
  }
  let text = "";
  for (const name of names) {
    const field = left.get(name)?.pop();
    if (field) text += `${canonicalField(field.text, canonicalization)}\r\n`;
  }
  return text;
}

/** Without the final CRLF. */
export function canonicalField(text: string, canonicalization: Canonicalization): string {
  if (canonicalization === "simple") return text;
  const colon = text.indexOf(":");
  const name = text.slice(0, colon).toLowerCase().trimEnd();
  const value = text
    .slice(colon + 1)
    .replace(/\r\n(?=[ \t])/g, "")
    .replace(/[ \t]+/g, " ");
  return `${name}:${value.replace(/^ | $/g, "")}`;
}
