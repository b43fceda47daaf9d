/** cleanup/base64-lines.ts: content of a body part as base64 (RFC 2045 §6.8), as it streams by, in lines of 76 characters. */

const CRLF = Buffer.from("\r\n");
/** What makes 76 characters. */
const LINE_BYTES = 57;

export class Base64Lines {
  #rest: Buffer = Buffer.alloc(0);
  /** A line end that is content if more follows, and the boundary's if that follows (RFC 2046 §5.1.1). */
  #lineEnd = false;

  /** A line, or a piece of one; `ends`: with a line end behind it. */
  encode(bytes: Uint8Array, ends: boolean): string {
    const before = this.#lineEnd ? [this.#rest, CRLF] : [this.#rest];
    this.#lineEnd = ends;
    const all = Buffer.concat([...before, bytes]);
    const whole = all.length - (all.length % LINE_BYTES);
    this.#rest = all.subarray(whole);
    return lines(all.subarray(0, whole));
  }

  /** The part is over. `boundary`: the last line end belongs to the boundary behind it. */
  end(boundary: boolean): string {
    const all = this.#lineEnd && !boundary ? Buffer.concat([this.#rest, CRLF]) : this.#rest;
    this.#rest = Buffer.alloc(0);
    this.#lineEnd = false;
    return lines(all);
  }
}

function lines(bytes: Buffer): string {
  return bytes.toString("base64").replace(/.{1,76}/g, "$&\r\n");
}
