/** cleanup/duties/eight-bit-header.ts: raw bytes beyond ASCII in header fields (MSG-13): text becomes encoded words (RFC 2047), a
 *  file name an extended parameter (RFC 2231). The character set is UTF-8 if the bytes are, else Latin-1 or what Windows
 *  makes of it. An address beyond ASCII has no such form. */
import { isUtf8 } from "node:buffer";
import { encodedWords } from "../encoded-words.ts";
import type { HeaderField } from "../header-block.ts";
import { isAddressField } from "./addresses.ts";
import { type FieldDuty, shown, writtenName } from "./duty.ts";

const EIGHT_BIT = /[\x80-\xff]/;
/** Fields with a grammar that has no place for an encoded word. */
const STRUCTURED: ReadonlySet<string> = new Set([
  ...["date", "resent-date", "message-id", "resent-message-id", "in-reply-to", "references", "received", "return-path"],
  ...["mime-version", "content-transfer-encoding", "content-id", "dkim-signature", "authentication-results"],
]);
const PARAMETERS: ReadonlySet<string> = new Set(["content-type", "content-disposition"]);
const PARAMETER = /\b((?:file)?name)[ \t]*=[ \t]*("(?:[^"\\]|\\[^\r\n])*"|[^;\s"]+)/gi;
/** A longer file name stays as it is. */
const MAX_PARAMETER = 700;

export const eightBitHeader: FieldDuty = (field, { smtputf8 }) => {
  if (!EIGHT_BIT.test(field.text)) return undefined;
  if (smtputf8 && isUtf8(Buffer.from(field.text, "latin1"))) return undefined;
  const problem = () => `8-bit text in ${writtenName(field)}: ${shown(field.text.slice(field.text.indexOf(":") + 1))}`;
  return { problem, mended: encodedField(field) };
};

/** The same field if it is all ASCII; undefined: there is no form without such bytes. */
export function encodedField(field: HeaderField): HeaderField | undefined {
  if (!EIGHT_BIT.test(field.text)) return field;
  const start = field.text.indexOf(":") + 1;
  const value = field.text.slice(start).replace(/\r\n(?=[ \t])/g, "");
  const blank = /^[ \t]*/.exec(value)?.[0] ?? "";
  const rest = value.slice(blank.length);
  const head = field.text.slice(0, start) + (blank === "" ? " " : blank);
  const encoded = encodedValue(field, rest, head.length);
  if (encoded === undefined || EIGHT_BIT.test(encoded) || EIGHT_BIT.test(head)) return undefined;
  return { name: field.name, text: head + encoded };
}

function encodedValue(field: HeaderField, value: string, column: number): string | undefined {
  if (STRUCTURED.has(field.name)) return undefined;
  if (PARAMETERS.has(field.name)) return withExtendedParameters(value);
  return isAddressField(field) ? encodedPhrases(value, column) : encodedText(value, column);
}

/** From the first word beyond ASCII to the last one: blanks between encoded words would be lost. */
function encodedText(value: string, column: number): string {
  const first = value.search(EIGHT_BIT);
  const start = Math.max(value.lastIndexOf(" ", first), value.lastIndexOf("\t", first)) + 1;
  let last = value.length - 1;
  while (!EIGHT_BIT.test(value.charAt(last))) last--;
  const after = value.slice(last).search(/[ \t]/);
  const end = after < 0 ? value.length : last + after;
  return value.slice(0, start) + words(value.slice(start, end), column + start) + value.slice(end);
}

function words(text: string, column: number): string {
  const bytes = Buffer.from(text, "latin1");
  return encodedWords(bytes, charsetOf(bytes), Math.min(column, 76));
}

function charsetOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return "utf-8";
  return bytes.some((byte) => byte >= 0x80 && byte < 0xa0) ? "windows-1252" : "iso-8859-1";
}

/** Each takes time linear in its length, and all together are the whole text. */
const PIECES = /"(?:[^"\\]|\\.)*"?|\((?:[^()\\]|\\.)*\)?|<[^>]*>?|[,;:]|[^"(<,;:]+/gs;

/** `Jörg "X" <j@x.test> (Büro)`: names and comments; undefined if something else has such bytes. */
function encodedPhrases(value: string, column: number): string | undefined {
  let out = "";
  let phrase = "";
  for (const [piece] of value.matchAll(PIECES)) {
    if (!/^[(<,;:]/.test(piece)) {
      phrase += piece;
      continue;
    }
    const separates = piece === "," || piece === ";";
    if (EIGHT_BIT.test(phrase) && (separates || phrase.includes("@"))) return undefined;
    out += encodedPhrase(phrase, column) + (piece.startsWith("(") ? encodedComment(piece, column) : piece);
    phrase = "";
  }
  out += phrase;
  return EIGHT_BIT.test(out) ? undefined : out;
}

/** The blanks around it stay. */
function encodedPhrase(phrase: string, column: number): string {
  if (!EIGHT_BIT.test(phrase)) return phrase;
  const text = unquoted(phrase);
  const before = /^\s*/.exec(phrase)?.[0] ?? "";
  return `${before}${words(text, column)} `;
}

function encodedComment(piece: string, column: number): string {
  if (!EIGHT_BIT.test(piece)) return piece;
  const text = piece.slice(1, piece.endsWith(")") ? -1 : undefined).replace(/\\(.)/gs, "$1");
  return `(${words(text, column)})`;
}

function unquoted(phrase: string): string {
  return phrase.replace(/"((?:[^"\\]|\\.)*)"/gs, (_, text: string) => text.replace(/\\(.)/gs, "$1")).trim();
}

/** `filename="Übersicht.pdf"` becomes `filename*=utf-8''%C3%9Cbersicht.pdf`. */
function withExtendedParameters(value: string): string {
  return value.replace(PARAMETER, (whole, name: string, given: string) => {
    if (!EIGHT_BIT.test(given)) return whole;
    const text = given.startsWith('"') ? given.slice(1, -1).replace(/\\(.)/gs, "$1") : given;
    const bytes = Buffer.from(text, "latin1");
    const escaped = [...bytes].map((byte) => {
      const plain = /[A-Za-z0-9._-]/.test(String.fromCharCode(byte));
      return plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    });
    return escaped.length > MAX_PARAMETER ? whole : `${name}*=${charsetOf(bytes)}''${escaped.join("")}`;
  });
}
