/** base/unix-lines.ts: content with the line ends of Unix, in chunks, as the CRLF lines that cleanup takes. A CR in front of a
 *  LF belongs to the line end (sendmail_fix_line_endings); any other CR is content. The last line gets an end if it has none. */

const LF = 10;
const CR = 13;
const CRLF = Buffer.from("\r\n");

export class UnixLines {
  /** A CR was the last byte: what it is shows with the next. */
  #heldCr = false;
  #inLine = false;

  /** The chunk's bytes in pieces, which may be parts of the chunk. */
  push(chunk: Buffer): readonly Buffer[] {
    if (chunk.length === 0) return [];
    const pieces: Buffer[] = [];
    if (this.#heldCr && chunk[0] !== LF) pieces.push(Buffer.of(CR));
    this.#heldCr = false;
    let start = 0;
    for (let lf = chunk.indexOf(LF); lf >= 0; lf = chunk.indexOf(LF, start)) {
      const end = lf > start && chunk[lf - 1] === CR ? lf - 1 : lf;
      if (end > start) pieces.push(chunk.subarray(start, end));
      pieces.push(CRLF);
      start = lf + 1;
    }
    this.#heldCr = start < chunk.length && chunk[chunk.length - 1] === CR;
    const rest = chunk.subarray(start, this.#heldCr ? -1 : undefined);
    if (rest.length > 0) pieces.push(rest);
    this.#inLine = start < chunk.length;
    return pieces;
  }

  /** What is missing behind the last chunk. */
  end(): readonly Buffer[] {
    if (!this.#inLine) return [];
    return this.#heldCr ? [Buffer.of(CR), CRLF] : [CRLF];
  }
}
