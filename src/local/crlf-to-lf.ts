/** local/crlf-to-lf.ts: CRLF to LF over chunks of any size. A CR without LF stays: it is the sender's, not a line end. */

const CR = 0x0d;
const LF = 0x0a;

export class CrlfToLf {
  #heldCr = false;

  /** The converted bytes of one chunk; a CR at its end is held until the next byte is known. */
  convert(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return chunk;
    const out = new Uint8Array(chunk.length + 1);
    let length = 0;
    let at = 0;
    if (this.#heldCr && chunk[0] !== LF) out[length++] = CR;
    this.#heldCr = chunk[chunk.length - 1] === CR;
    const end = this.#heldCr ? chunk.length - 1 : chunk.length;
    while (at < end) {
      const found = chunk.indexOf(CR, at);
      const stop = found < 0 || found >= end ? end : found;
      out.set(chunk.subarray(at, stop), length);
      length += stop - at;
      at = stop;
      if (at < end) {
        if (chunk[at + 1] !== LF) out[length++] = CR;
        at++;
      }
    }
    return out.subarray(0, length);
  }

  /** What was held at the end of the stream. */
  end(): Uint8Array {
    const rest = this.#heldCr ? Uint8Array.of(CR) : new Uint8Array(0);
    this.#heldCr = false;
    return rest;
  }
}
