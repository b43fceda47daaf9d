/** base/line-splitter.ts: bytes in, bounded lines out, at any segmentation. A line ends at LF; CRs before it are dropped.
 *  What exceeds the limit is dropped while it arrives, so a line of any length costs at most `limit` bytes.
 *  Lines are handed out as latin1 text: one character per byte. Raw bytes can be taken instead, between two lines. */

const LF = 10;
const CR = 13;

/** One line without its end. */
export interface SplitLine {
  /** One character per byte (latin1), at most `limit` long. */
  readonly text: string;
  /** The line ended in a LF that no CR precedes. */
  readonly bareLf: boolean;
  /** Bytes were dropped because the line was longer than the limit. */
  readonly truncated: boolean;
}

export class LineSplitter {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  /** Where the unread part of the first chunk begins. */
  #start = 0;
  /** The line so far, of earlier chunks. */
  #partial = "";
  /** Whether the partial line's last byte, kept or dropped, was a CR. */
  #partialEndsInCr = false;
  #truncated = false;
  #unread = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes that were pushed and neither taken nor part of an unfinished line. */
  get unreadBytes(): number {
    return this.#unread;
  }

  /** Whether anything is left that was not handed out, be it half a line. */
  get pending(): boolean {
    return this.#unread > 0 || this.#partial !== "" || this.#truncated;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#unread += chunk.length;
  }

  /** The next whole line, or undefined when more bytes are needed. */
  next(): SplitLine | undefined {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const end = chunk.indexOf(LF, this.#start);
      if (end < 0) {
        this.#keep(chunk);
        this.#dropFirst(chunk);
        continue;
      }
      const line = this.#finish(chunk, end);
      this.#unread -= end + 1 - this.#start;
      if (end + 1 === chunk.length) this.#shift();
      else this.#start = end + 1;
      return line;
    }
    return undefined;
  }

  /** The first `limit` bytes at most of what was not handed out, as latin1 text. They stay. */
  peek(limit: number): string {
    const chunk = this.#chunks[0];
    const next = chunk === undefined ? "" : chunk.toString("latin1", this.#start, this.#start + limit);
    return (this.#partial + next).slice(0, limit);
  }

  /** Takes raw bytes: only between two lines, when no partial line is kept. */
  takeChunk(): Buffer | undefined {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return undefined;
    const rest = this.#start === 0 ? chunk : chunk.subarray(this.#start);
    this.#dropFirst(chunk);
    return rest;
  }

  /** Gives back the end of the last chunk taken; it is read next. */
  putBack(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#chunks.unshift(rest);
    this.#start = 0;
    this.#unread += rest.length;
  }

  #finish(chunk: Buffer, end: number): SplitLine {
    let stop = end;
    while (stop > this.#start && chunk[stop - 1] === CR) stop--;
    const bareLf = stop === end && !(end === this.#start && this.#partialEndsInCr);
    if (this.#partial === "" && !this.#truncated && stop - this.#start <= this.#limit) {
      this.#partialEndsInCr = false;
      return { text: chunk.toString("latin1", this.#start, stop), bareLf, truncated: false };
    }
    const room = this.#limit - this.#partial.length;
    const truncated = this.#truncated || stop - this.#start > room;
    let text = this.#partial + chunk.toString("latin1", this.#start, Math.min(stop, this.#start + room));
    if (!truncated && stop === this.#start) text = text.replace(/\r+$/, "");
    this.#partial = "";
    this.#partialEndsInCr = false;
    this.#truncated = false;
    return { text, bareLf, truncated };
  }

  /** Adds the rest of a chunk without LF to the partial line. */
  #keep(chunk: Buffer): void {
    const room = this.#limit - this.#partial.length;
    const length = chunk.length - this.#start;
    if (length > 0) this.#partialEndsInCr = chunk[chunk.length - 1] === CR;
    // A CR just behind the limit may belong to the line end; it only counts as dropped if it is not the last byte.
    if (length > room && !(length === room + 1 && this.#partialEndsInCr && !this.#truncated)) this.#truncated = true;
    this.#partial += chunk.toString("latin1", this.#start, this.#start + Math.min(room, length));
  }

  #dropFirst(chunk: Buffer): void {
    this.#unread -= chunk.length - this.#start;
    this.#shift();
  }

  #shift(): void {
    this.#chunks.shift();
    this.#start = 0;
  }
}
