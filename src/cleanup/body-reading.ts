/** cleanup/body-reading.ts: what is asked of a body as it is stored: its hash for signatures, and whether it is all ASCII. */
import { isAscii } from "node:buffer";
import type { Signing } from "../dkim/create.ts";

export class BodyReading {
  /** undefined: the message is not signed. */
  readonly signing: Signing | undefined;
  readonly #looks: boolean;
  /** The body has 8-bit octets; looked for only where the client declared none. */
  eightBit = false;

  constructor(signing: Signing | undefined, declared7Bit: boolean) {
    this.signing = signing;
    this.#looks = declared7Bit;
  }

  update(chunk: Uint8Array): void {
    this.signing?.update(chunk);
    if (!this.eightBit && this.#looks) this.eightBit = !isAscii(chunk);
  }
}
