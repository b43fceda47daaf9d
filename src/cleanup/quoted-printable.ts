/** cleanup/quoted-printable.ts: content of a body part as quoted-printable (RFC 2045 §6.7), as it streams by. */

/** A line with more characters than these gets a soft break; with a last `=XX` and the "=" that is 76, as RFC 2045 allows. */
const LINE = 72;
const HEX = "0123456789ABCDEF";
const SOFT_BREAK = "=\r\n";

export class QuotedPrintable {
  #column = 0;

  /** One line, or a piece of one; `ends` adds the line end. Blanks at the end of what is given are encoded. */
  encode(bytes: Uint8Array, ends: boolean): string {
    let text = "";
    for (const [i, byte] of bytes.entries()) {
      const last = i === bytes.length - 1;
      const plain = byte === 9 || byte === 32 ? !last : byte > 32 && byte < 127 && byte !== 61;
      if (this.#column > LINE) {
        text += SOFT_BREAK;
        this.#column = 0;
      }
      text += plain ? String.fromCharCode(byte) : `=${HEX.charAt(byte >> 4)}${HEX.charAt(byte & 15)}`;
      this.#column += plain ? 1 : 3;
    }
    if (!ends) return text;
    this.#column = 0;
    return `${text}\r\n`;
  }
}
