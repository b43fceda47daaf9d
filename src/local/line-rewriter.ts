/** local/line-rewriter.ts: lines of a message as a command of pipe(8) wants them: another line end, "." before lines that begin with
 *  ".", ">" before lines that begin with "From ". Bytes in chunks of any size. A CR without LF stays. */

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const GREATER = 0x3e;
const FROM = Buffer.from("From ");

export interface LineRules {
  readonly eol: string;
  readonly stuffDots: boolean;
  readonly quoteFrom: boolean;
}

export class LineRewriter {
  readonly #eol: Uint8Array;
  readonly #rules: LineRules;
  #heldCr = false;
  /** How much of "From " the line has begun with; -1: it is not at its beginning any more. */
  #begun = 0;
  #out = Buffer.alloc(0);
  #length = 0;

  constructor(rules: LineRules) {
    this.#rules = rules;
    this.#eol = Buffer.from(rules.eol, "latin1");
  }

  /** The bytes that are certain; some may be held until the next ones are known. */
  convert(chunk: Uint8Array): Uint8Array {
    // Each byte gives at most an end of line, or itself and one more; what was held comes on top.
    this.#out = Buffer.allocUnsafe(chunk.length * Math.max(2, this.#eol.length) + FROM.length + 2);
    this.#length = 0;
    for (const byte of chunk) this.#take(byte);
    return this.#out.subarray(0, this.#length);
  }

  /** What was held at the end. */
  end(): Uint8Array {
    this.#out = Buffer.allocUnsafe(FROM.length + 2);
    this.#length = 0;
    if (this.#heldCr) this.#plain(CR);
    this.#flushBegun();
    return this.#out.subarray(0, this.#length);
  }

  #take(byte: number): void {
    if (this.#heldCr) {
      this.#heldCr = false;
      if (byte === LF) {
        this.#flushBegun();
        for (const one of this.#eol) this.#emit(one);
        this.#begun = 0;
        return;
      }
      this.#plain(CR);
    }
    if (byte === CR) this.#heldCr = true;
    else this.#plain(byte);
  }

  #plain(byte: number): void {
    if (this.#begun >= 0) {
      if (this.#rules.quoteFrom && byte === FROM[this.#begun]) {
        if (++this.#begun < FROM.length) return;
        this.#emit(GREATER);
        for (const one of FROM) this.#emit(one);
        this.#begun = -1;
        return;
      }
      if (this.#begun === 0 && byte === DOT && this.#rules.stuffDots) this.#emit(DOT);
      this.#flushBegun();
    }
    this.#emit(byte);
  }

  #flushBegun(): void {
    for (let i = 0; i < this.#begun; i++) this.#emit(FROM[i] ?? 0);
    this.#begun = -1;
  }

  #emit(byte: number): void {
    this.#out[this.#length++] = byte;
  }
}
