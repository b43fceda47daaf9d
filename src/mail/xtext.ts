/** mail/xtext.ts: the encodings of addresses and ids in SMTP parameters: xtext (RFC 3461 §4) and the two forms of UTF-8
 *  addresses (RFC 6533 §3). Decoders are strict and give printable text only, so that nothing decoded can begin a line. */
import { printableUtf8 } from "./printable.ts";

const XTEXT = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})+$/;
const HEX_PAIR = /\+([0-9A-F]{2})/g;
/** utf-8-addr-xtext and utf-8-addr-unitext together: QCHAR, UTF-8, `\x{HEX}`. */
const ADDRESS_TEXT = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e\u0080-\u{10ffff}]|\\x\{[0-9A-Fa-f]{2,6}\})+$/u;
const CODE_POINT = /\\x\{([0-9A-Fa-f]{2,6})\}/g;
const LAST_CODE_POINT = 0x10ffff;

/** xtext to printable ASCII; undefined: bad syntax, empty, or it stands for something else. */
export function decodeXtext(text: string): string | undefined {
  if (!XTEXT.test(text)) return undefined;
  const decoded = text.replace(HEX_PAIR, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return /[^\x20-\x7e]/.test(decoded) ? undefined : decoded;
}

/** The reverse of decodeXtext(), for any text: what is not ASCII goes as its UTF-8 bytes. */
export function encodeXtext(text: string): string {
  return text.replace(/[^\x21-\x2a\x2c-\x3c\x3e-\x7e]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `+${hexOf(byte)}`).join(""),
  );
}

/** A UTF-8 address in either form; undefined: bad syntax, empty, or unprintable. */
export function decodeUtf8Address(text: string): string | undefined {
  if (!ADDRESS_TEXT.test(text)) return undefined;
  const points = Array.from(text.matchAll(CODE_POINT), ([, hex = ""]) => Number.parseInt(hex, 16));
  if (points.some((point) => point > LAST_CODE_POINT)) return undefined;
  const decoded = text.replace(CODE_POINT, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
  return printableUtf8(decoded) === decoded ? decoded : undefined;
}

/** utf-8-addr-xtext, which is ASCII and xtext too, so that servers without SMTPUTF8 take it. */
export function encodeUtf8Address(text: string): string {
  return text.replace(/[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]/gu, (character) => {
    return `\\x{${hexOf(character.codePointAt(0) ?? 0)}}`;
  });
}

function hexOf(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, "0");
}
