/** dkim/body-hash.ts: the hash of a body in canonical form (RFC 6376 §3.4.3, §3.4.4), while it streams by, at any segmentation.
 *  Withheld at any time: empty lines (they may be the last ones), white space (it may end the line), a CR. */
import { createHash, type Hash } from "node:crypto";

export type Canonicalization = "simple" | "relaxed";

const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
const OUT_BYTES = 16 * 1024;

export class BodyHash {
  readonly #hash: Hash;
  /** Bytes that may still be hashed. */
  #room: number;
  readonly #relaxed: boolean;
  readonly #out = Buffer.allocUnsafe(OUT_BYTES);
  #used = 0;
  /** Of the canonical form, once it has been hashed. */
  canonicalBytes = 0;
  /** Line ends that were read and not written. */
  #lineEnds = 0;
  #space = false;
  #cr = false;
  #empty = true;

  /** `limit`: only so many bytes of the canonical form count, as an `l=` of others says. */
  constructor(
    canonicalization: Canonicalization,
    { algorithm = "sha256", limit = Number.POSITIVE_INFINITY }: { algorithm?: "sha1" | "sha256"; limit?: number } = {},
  ) {
    this.#hash = createHash(algorithm);
    this.#room = limit;
    this.#relaxed = canonicalization === "relaxed";
  }

  update(chunk: Uint8Array): void {
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#cr) {
        this.#cr = false;
        if (byte === LF) {
          this.#lineEnds++;
          this.#space = false;
          continue;
        }
        this.#content(CR);
      }
      if (byte === CR) this.#cr = true;
      else if (this.#relaxed && (byte === SPACE || byte === TAB)) this.#space = true;
      else this.#content(byte);
    }
  }

  /** Base64, for bh=. Ends the hash. */
  digest(): string {
    if (this.#cr) this.#content(CR);
    // An empty body is one line end in simple form, and nothing in relaxed form.
    if (!this.#empty || !this.#relaxed) this.#lineEnd();
    this.#flush();
    return this.#hash.digest("base64");
  }

  /** A byte that is neither end of line nor white space that may go: what was withheld before it counts. */
  #content(byte: number): void {
    for (; this.#lineEnds > 0; this.#lineEnds--) this.#lineEnd();
    if (this.#space) this.#put(SPACE);
    this.#space = false;
    this.#empty = false;
    this.#put(byte);
  }

  #lineEnd(): void {
    this.#put(CR);
    this.#put(LF);
  }

  #put(byte: number): void {
    if (this.#used === OUT_BYTES) this.#flush();
    this.#out[this.#used++] = byte;
  }

  #flush(): void {
    this.canonicalBytes += this.#used;
    const counted = Math.min(this.#used, this.#room);
    this.#hash.update(this.#out.subarray(0, counted));
    this.#room -= counted;
    this.#used = 0;
  }
}
