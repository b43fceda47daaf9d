/** cleanup/from-field.ts: the value of a From field that is made of a sender's address and full name (header_from_format,
 *  full_name_encoding_charset; RFC 5322 §3.4, RFC 2047 §5). Text here is UTF-8 text, not latin1 of bytes. Pure. */
import { type Address, formatAddress } from "../mail/address.ts";
import { encodedWords } from "./encoded-words.ts";

export interface FromFormat {
  /** "obsolete" puts the name behind the address, as a comment. */
  readonly format: "standard" | "obsolete";
  /** Name of the character set in encoded words; "": names beyond ASCII go as they are. */
  readonly charset: string;
}

/** Printable characters that may stand in a phrase without quotes, and what is not ASCII. */
const PHRASE = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ \u0080-\u{10ffff}]*$/u;
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+/gu;
/** Of a full name; what is behind it is cut. */
const MAX_NAME = 500;

/** `Full Name <user@example.org>`, or the address alone if there is no name. */
export function fromValue(sender: Address, fullName: string | undefined, { format, charset }: FromFormat): string {
  const address = formatAddress(sender);
  const name = (fullName ?? "").replace(CONTROLS, " ").trim().slice(0, MAX_NAME);
  if (name === "") return address;
  const encoded = charset !== "" && /[^\x20-\x7e]/.test(name);
  if (format === "obsolete")
    return `${address} (${encoded ? encodedWords(Buffer.from(name), charset) : comment(name)})`;
  return `${encoded ? encodedWords(Buffer.from(name), charset) : phrase(name)} <${address}>`;
}

function phrase(name: string): string {
  return PHRASE.test(name) ? name : `"${name.replace(/[\\"]/g, "\\$&")}"`;
}

function comment(name: string): string {
  return name.replace(/[\\()]/g, "\\$&");
}
