/** duplicates/message-key.ts: one key for who sends, from whom, to whom, and what, byte by byte. Content is hashed as it comes. */
import { createHash } from "node:crypto";
import type { ClaimKey } from "./claim.ts";

export interface SubmittedEnvelope {
  /** The login, or the address of a client without one. */
  readonly identity: string;
  readonly sender: string;
  /** As the client named them; their order does not matter. */
  readonly recipients: readonly string[];
}

/** Base64 characters of a key: 144 bits. */
const KEY_CHARS = 24;

export class MessageKey {
  readonly #hash = createHash("sha256");

  constructor({ identity, sender, recipients }: SubmittedEnvelope) {
    this.#hash.update(`${JSON.stringify([identity, sender, [...recipients].sort()])}\n`);
  }

  /** Content in pieces of any size. */
  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  /** Ends the content. */
  digest(): ClaimKey {
    return this.#hash.digest("base64url").slice(0, KEY_CHARS);
  }
}
