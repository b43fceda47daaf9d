/** smtpd/data-reader.ts: finds the end of message data and undoes dot-stuffing (RFC 5321 §4.5.2), at any segmentation.
 *  Only CRLF "." CRLF ends the data; a lone "." between other line ends is content (SMTP smuggling, CVE-2023-51764).
 *  A bare LF becomes CRLF and is reported; a bare CR is content. Chunks pass through as slices, not byte by byte.
 *
 *  States, with what is withheld from the output:
 *    lineStart  nothing        (the line before ended in CRLF, or in a bare LF: #afterCrlf)
 *    dot        "."
 *    dotCr      ".\r"
 *    inLine     nothing
 *    cr         "\r", the last byte of a chunk */

const LF = 10;
const CR = 13;
const DOT = 46;

const CRLF_BYTES = Buffer.from("\r\n");
const CR_BYTES = Buffer.from("\r");
const LONE_DOT_LINE = Buffer.from(".\r\n");

type State = "lineStart" | "dot" | "dotCr" | "inLine" | "cr";

export class DataReader {
  #state: State = "lineStart";
  /** The client's CRLF behind DATA counts as the first line end. */
  #afterCrlf = true;
  #pieces: Buffer[] = [];
  /** Some line ended in a LF without CR. */
  bareLf = false;
  ended = false;

  /** Reads one chunk. Returns how many bytes belong to the message data: all, or up to and with the end of data. */
  push(chunk: Buffer): number {
    let pos = 0;
    // Start of the run of bytes that will be passed on as they are.
    let run = 0;
    while (pos < chunk.length) {
      switch (this.#state) {
        case "lineStart":
          if (chunk[pos] !== DOT) {
            this.#state = "inLine";
            break;
          }
          this.#emit(chunk, run, pos);
          run = ++pos;
          this.#state = "dot";
          break;
        case "inLine":
          pos = this.#scanLine(chunk, run, pos);
          if (pos < 0) return chunk.length;
          if (!this.#afterCrlf) run = pos;
          break;
        default:
          pos = this.#afterWithheld(chunk, pos);
          run = pos;
          if (this.ended) return pos;
      }
    }
    this.#emit(chunk, run, pos);
    return chunk.length;
  }

  /** What the last push() let through, as one buffer; undefined if nothing. */
  take(): Buffer | undefined {
    const pieces = this.#pieces;
    if (pieces.length === 0) return undefined;
    this.#pieces = [];
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
  }

  /** To the byte behind the line's end; -1 at the end of the chunk, when everything has been emitted. */
  #scanLine(chunk: Buffer, run: number, pos: number): number {
    const lf = chunk.indexOf(LF, pos);
    if (lf < 0) {
      const endsInCr = chunk[chunk.length - 1] === CR;
      this.#emit(chunk, run, endsInCr ? chunk.length - 1 : chunk.length);
      if (endsInCr) this.#state = "cr";
      return -1;
    }
    this.#state = "lineStart";
    this.#afterCrlf = lf > 0 && chunk[lf - 1] === CR;
    if (!this.#afterCrlf) {
      this.bareLf = true;
      this.#emit(chunk, run, lf);
      this.#pieces.push(CRLF_BYTES);
    }
    return lf + 1;
  }

  /** One step of the states that withhold bytes; returns the new position. */
  #afterWithheld(chunk: Buffer, pos: number): number {
    const byte = chunk[pos];
    if (this.#state === "dot" && byte === CR) {
      this.#state = "dotCr";
      return pos + 1;
    }
    if (byte === LF) return this.#endWithheldLine(pos);
    // A stuffed dot is dropped; a CR in mid-line is content.
    if (this.#state !== "dot") this.#pieces.push(CR_BYTES);
    this.#state = "inLine";
    return pos;
  }

  #endWithheldLine(pos: number): number {
    const state = this.#state;
    if (state === "dotCr" && this.#afterCrlf) {
      this.ended = true;
      return pos + 1;
    }
    this.#pieces.push(state === "cr" ? CRLF_BYTES : LONE_DOT_LINE);
    this.#afterCrlf = state !== "dot";
    if (state === "dot") this.bareLf = true;
    this.#state = "lineStart";
    return pos + 1;
  }

  #emit(chunk: Buffer, from: number, to: number): void {
    if (to > from) this.#pieces.push(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
  }
}
