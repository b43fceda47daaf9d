/** cleanup/body-watch.ts: what the body of a message turns out to have, seen as it streams by: bytes beyond ASCII, lines that are
 *  too long, OpenPGP armour. Looks at each byte at most twice and keeps a few. */
import { isAscii, isUtf8 } from "node:buffer";

/** Without CRLF (RFC 5322 §2.1.1). */
const MAX_LINE = 998;
const LF = 10;
const ARMOUR = Buffer.from("-----BEGIN PGP ");
/** How much of a body is searched for it; a greeting may stand in front. */
const ARMOUR_WITHIN = 4096;

export class BodyWatch {
  #eightBit = false;
  #utf8 = true;
  #armoured = false;
  #long = false;
  /** Bytes of the line that has not ended. */
  #open = 0;
  #seen = 0;
  /** The end of what has been searched. */
  #tail = Buffer.alloc(0);
  /** Of a character that is not complete. */
  #partial = Buffer.alloc(0);

  update(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (!this.#long) this.#measure(bytes);
    if (this.#seen < ARMOUR_WITHIN) this.#search(bytes);
    this.#seen += bytes.length;
    if (this.#partial.length === 0 && isAscii(bytes)) return;
    this.#eightBit = true;
    if (this.#utf8) this.#decode(this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes]));
  }

  get facts() {
    return {
      eightBit: this.#eightBit,
      utf8: this.#utf8 && this.#partial.length === 0,
      armoured: this.#armoured,
      longLine: this.#long || this.#open > MAX_LINE,
    };
  }

  #search(bytes: Buffer): void {
    const text = Buffer.concat([this.#tail, bytes.subarray(0, ARMOUR_WITHIN - this.#seen)]);
    this.#armoured ||= text.includes(ARMOUR);
    this.#tail = Buffer.from(text.subarray(-ARMOUR.length));
  }

  /** From line end to line end, as far as one line may reach. */
  #measure(bytes: Buffer): void {
    let start = -this.#open;
    // The LF of a line that fits stands at most here.
    for (let reach = start + MAX_LINE + 1; reach < bytes.length; reach = start + MAX_LINE + 1) {
      const end = reach < 0 ? -1 : bytes.lastIndexOf(LF, reach);
      if (end < Math.max(start, 0)) {
        this.#long = true;
        return;
      }
      start = end + 1;
    }
    const last = bytes.lastIndexOf(LF);
    this.#open = bytes.length - (last < Math.max(start, 0) ? start : last + 1);
  }

  #decode(bytes: Buffer): void {
    const end = wholeCharacters(bytes);
    this.#utf8 = isUtf8(bytes.subarray(0, end));
    this.#partial = Buffer.from(bytes.subarray(end));
  }
}

/** Where a character begins that does not end here. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
