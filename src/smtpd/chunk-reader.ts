/** smtpd/chunk-reader.ts: the content of BDAT chunks (RFC 3030), at any segmentation: the counts delimit it, so dots mean nothing.
 *  A bare LF becomes CRLF and is reported, as with DATA; a bare CR is content. Withheld: a CR that ends what has come. */

import type { IncomingMessage } from "../cleanup/cleanup.ts";

/** The message between its chunks. */
export interface Chunks {
  readonly message: IncomingMessage;
  readonly reader: Pick<ChunkReader, "push" | "end" | "bareLf">;
  /** How long to wait for more, when so many bytes have come. */
  readonly pace: { timeoutMs(bytes: number): number };
  /** Of all chunks so far, as counted by the client. */
  sizeBytes: number;
}

const LF = 10;
const CR = 13;

const CRLF_BYTES = Buffer.from("\r\n");
const CR_BYTES = Buffer.from("\r");

export class ChunkReader {
  #cr = false;
  /** The last line has no end yet. */
  #open = false;
  /** Some line ended in a LF without CR. */
  bareLf = false;

  /** What can be passed on. */
  push(chunk: Buffer): Buffer | undefined {
    if (chunk.length === 0) return undefined;
    const pieces: Buffer[] = [];
    let run = this.#afterCr(chunk, pieces);
    for (let lf = chunk.indexOf(LF, run); lf >= 0; lf = chunk.indexOf(LF, lf + 1)) {
      if (lf > run && chunk[lf - 1] === CR) continue;
      this.bareLf = true;
      pieces.push(chunk.subarray(run, lf), CRLF_BYTES);
      run = lf + 1;
    }
    const last = chunk[chunk.length - 1];
    this.#cr = last === CR && chunk.length > run;
    this.#open = last !== LF;
    const end = this.#cr ? chunk.length - 1 : chunk.length;
    if (end > run) pieces.push(chunk.subarray(run, end));
    return joined(pieces);
  }

  /** The end that the last line lacks (BDAT-12). */
  end(): Buffer | undefined {
    const pieces = this.#cr ? [CR_BYTES, CRLF_BYTES] : this.#open ? [CRLF_BYTES] : [];
    return joined(pieces);
  }

  /** Settles the CR that was withheld; returns where the rest of the chunk begins. */
  #afterCr(chunk: Buffer, pieces: Buffer[]): number {
    if (!this.#cr) return 0;
    this.#cr = false;
    const isLineEnd = chunk[0] === LF;
    pieces.push(isLineEnd ? CRLF_BYTES : CR_BYTES);
    return isLineEnd ? 1 : 0;
  }
}

/** Content of BODY=BINARYMIME: every octet behind the header is kept (RFC 3030 §3). The header is of lines: a bare LF in it is
 *  one's end as with DATA, else a field could hide in another until the next hop, which may get lines, reads it. */
export class OctetReader {
  #inHeader = true;
  /** Of the present line. */
  #length = 0;
  #cr = false;
  bareLf = false;

  push(chunk: Buffer): Buffer | undefined {
    if (!this.#inHeader) return chunk.length === 0 ? undefined : chunk;
    const pieces: Buffer[] = [];
    let run = 0;
    for (let at = 0; at < chunk.length && this.#inHeader; at++) {
      if (chunk[at] === LF) {
        if (!this.#cr) {
          this.bareLf = true;
          pieces.push(chunk.subarray(run, at), CRLF_BYTES);
          run = at + 1;
        }
        this.#inHeader = this.#length > 0;
        this.#length = 0;
        this.#cr = false;
      } else {
        if (this.#cr) this.#length++;
        this.#cr = chunk[at] === CR;
        if (!this.#cr) this.#length++;
      }
    }
    pieces.push(chunk.subarray(run));
    return joined(pieces);
  }

  /** Nothing is added. */
  end(): Buffer | undefined {
    return undefined;
  }
}

/** What is to be known of a session for BINARYMIME. */
interface Offering {
  readonly options: { readonly filter?: unknown };
  keeps(keyword: string): boolean;
}

/** A before-queue filter gets content by DATA. */
export function offersBinaryMime(session: Offering): boolean {
  return session.options.filter === undefined && session.keeps("CHUNKING") && session.keeps("BINARYMIME");
}

function joined(pieces: readonly Buffer[]): Buffer | undefined {
  const whole = pieces.filter(({ length }) => length > 0);
  return whole.length > 1 ? Buffer.concat(whole) : whole[0];
}
