/** bounce/fold.ts: keeps remote text inside the lines of a report: one printable line in, short lines out. Nothing that a
 *  remote server says can start a header field or a MIME part of ours (RFC 5322 §2.2.3). */
import { printableAscii, printableUtf8 } from "../mail/printable.ts";

/** Longer remote text is cut. */
const MAX_TEXT_CHARS = 2000;
/** As Postfix: one more than RFC 5322 §2.1.1 would like. */
const MAX_LINE_BYTES = 79;

/** Printable, without line ends, at most 2000 characters. `utf8` lets valid Unicode through (RFC 6533). */
export function oneLine(text: string, utf8: boolean): string {
  const joined = text.replace(/[\r\n\t]+/g, " ").trim();
  const cut = joined.length > MAX_TEXT_CHARS ? `${joined.slice(0, MAX_TEXT_CHARS)}...` : joined;
  return utf8 ? printableUtf8(cut) : printableAscii(cut);
}

/** Breaks at blanks so that lines stay within 79 bytes; further lines begin with `indent`, which must be blank. Words
 *  that are longer than a line are kept whole up to 900 bytes. */
export function fold(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap(pieces)) {
    if (word === "") continue;
    const longer = line === "" ? word : `${line} ${word}`;
    if (Buffer.byteLength(longer) <= MAX_LINE_BYTES || line.trim() === "") line = longer;
    else {
      lines.push(line);
      line = indent + word;
    }
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** 240 characters, none of which has more than four bytes: a line has at most 998 (RFC 5322 §2.1.1). */
function pieces(word: string): string[] {
  return Buffer.byteLength(word) <= 900 ? [word] : (word.match(/.{1,240}/gsu) ?? []);
}
