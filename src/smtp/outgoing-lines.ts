/** smtp/outgoing-lines.ts: message content on its way into DATA (RFC 5321 §4.5.2): a dot more at each line that begins with
 *  one, long lines broken (smtp_line_length_limit), every line end CRLF, CRLF before the final dot. Works on chunks of any
 *  size; what needs no change is passed on without copying.
 *
 *  A bare LF becomes CRLF and a bare CR a blank (RFC 5321 §2.3.8), so that no receiver sees an end of data that is none
 *  (SMTP smuggling, CVE-2023-51764 and its kin). A bare CR must not become a line end: it could make a header field. */

const CR = 13;
const LF = 10;
const FULL_STOP = 0x2e;
const DOT = Buffer.from(".");
const BLANK = Buffer.from(" ");
const CRLF = Buffer.from("\r\n");
const FOLD = Buffer.from("\r\n ");
const END = Buffer.from(".\r\n");
const CRLF_END = Buffer.from("\r\n.\r\n");

export class OutgoingLines {
  readonly #limit: number;
  /** Bytes of the present line so far. */
  #column = 0;
  /** The last chunk ended with a CR that was not passed on. */
  #cr = false;
  #broken = false;

  /** `lineLimit`: bytes without CRLF; 0: no limit. Less than 2 would leave no room behind the blank of a break. */
  constructor(lineLimit: number) {
    this.#limit = lineLimit === 0 ? Number.MAX_SAFE_INTEGER : Math.max(2, lineLimit);
  }

  /** Whether a line was too long. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The pieces to send for one chunk, in order. */
  *pieces(chunk: Uint8Array): Generator<Uint8Array> {
    if (chunk.length === 0) return;
    let start = 0;
    let at = 0;
    if (this.#cr) {
      this.#cr = false;
      const whole = chunk[0] === LF;
      yield this.#insert(whole ? CRLF : BLANK);
      start = at = whole ? 1 : 0;
    }
    for (at = this.#clean(chunk, at); at < chunk.length; at = this.#clean(chunk, at)) {
      if (at > start) yield chunk.subarray(start, at);
      start = at;
      const byte = chunk[at];
      if (byte === CR || byte === LF) {
        start = ++at;
        this.#cr = byte === CR && at === chunk.length;
        if (!this.#cr) yield this.#insert(byte === CR ? BLANK : CRLF);
      } else if (this.#column > 0) {
        this.#fold();
        yield FOLD;
      } else {
        yield DOT;
        at++;
        this.#column = 1;
      }
    }
    if (start < chunk.length) yield chunk.subarray(start);
  }

  /** Where the bytes from `at` on first need a change, or their end. All bytes of all mail pass here, one by one. */
  #clean(chunk: Uint8Array, at: number): number {
    const { length } = chunk;
    const limit = this.#limit;
    let column = this.#column;
    let i = at;
    for (; i < length; i++) {
      const byte = chunk[i];
      if (byte === CR) {
        if (chunk[i + 1] !== LF) break;
        i++;
        column = 0;
        continue;
      }
      if (byte === LF || column >= limit || (column === 0 && byte === FULL_STOP)) break;
      column++;
    }
    this.#column = column;
    return i;
  }

  /** What ends the data. */
  end(): Uint8Array {
    if (this.#cr) this.#column++; // a CR at the very end was no line end, but is as good as one
    return this.#column === 0 ? END : CRLF_END;
  }

  /** In place of a bare LF or CR. */
  #insert(bytes: Uint8Array): Uint8Array {
    if (bytes === BLANK && this.#column >= this.#limit) {
      this.#fold();
      return FOLD;
    }
    this.#column = bytes === CRLF ? 0 : this.#column + 1;
    return bytes;
  }

  #fold(): void {
    this.#broken = true;
    this.#column = 1;
  }
}
