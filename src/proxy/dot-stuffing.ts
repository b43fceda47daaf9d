/** proxy/dot-stuffing.ts: message content on its way into DATA (RFC 5321 §4.5.2): a dot more at each line that begins with
 *  one, CRLF before the final dot. Works on chunks of any size without copying; state is one bit and two bytes. */

const DOT = Buffer.from(".");
const LF_DOT = Buffer.from("\n.");
const END = Buffer.from(".\r\n");
const CRLF_END = Buffer.from("\r\n.\r\n");

export class DotStuffing {
  #atLineStart = true;
  #beforeLast = 13;
  #last = 10;

  /** The pieces to send for one chunk, in order. A line starts behind each LF: also behind a bare one, which must not be
   *  turned into an end of data by a lenient receiver (SMTP smuggling). */
  *stuff(chunk: Uint8Array): Generator<Uint8Array> {
    if (chunk.length === 0) return;
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#atLineStart && bytes[0] === 0x2e) yield DOT;
    let start = 0;
    for (let at = bytes.indexOf(LF_DOT); at >= 0; at = bytes.indexOf(LF_DOT, at + 1)) {
      yield bytes.subarray(start, at + 2);
      yield DOT;
      start = at + 2;
    }
    if (start < bytes.length) yield bytes.subarray(start);
    this.#beforeLast = bytes[bytes.length - 2] ?? this.#last;
    this.#last = bytes[bytes.length - 1] ?? this.#last;
    this.#atLineStart = this.#last === 10;
  }

  /** What ends the data. */
  end(): Uint8Array {
    return this.#beforeLast === 13 && this.#last === 10 ? END : CRLF_END;
  }
}
