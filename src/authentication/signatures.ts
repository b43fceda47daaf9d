/** authentication/signatures.ts: DKIM and ARC signatures of one message. mailauth reads the signatures, asks for the keys and verifies; the
 *  body is hashed by our own BodyHash, which holds no line of it, whatever its length. The header is the one that is
 *  stored, not the bytes that came: what a reader will see as header and as body is what is verified. */
import type { BodyHasher, DkimVerifier, SignatureField, SignatureResult } from "mailauth/lib/dkim/dkim-verifier.js";
import { BodyHash } from "../dkim/body-hash.ts";
import type { CameField } from "../mail/message-authentication.ts";
import type { Library } from "./library.ts";
import type { Resolve } from "./questions.ts";

/** Real ones name some dozens; each name costs a walk over all fields. */
const MAX_NAMES = 256;
/** RFC 8301 §3.2: verifiers must not take less. Longer than 4096 bits need not be understood, but is. */
const LEAST_BITS = 1024;

export interface SignatureOptions {
  readonly library: Pick<Library, "DkimVerifier">;
  readonly resolve: Resolve;
  /** DKIM signatures that are verified. */
  readonly limit: number;
  readonly nowMs: number;
  /** MAIL FROM; "" for the null sender. */
  readonly sender: string;
}

export class Signatures {
  readonly #verifier: DkimVerifier;

  constructor({ library, resolve, limit, nowMs, sender }: SignatureOptions) {
    this.#verifier = new library.DkimVerifier({
      ...{ resolver: resolve, strict: true, minBitLength: LEAST_BITS, curTime: new Date(nowMs) },
      // Else it would believe a Return-Path of the message.
      sender: sender || "<>",
    });
    bound(this.#verifier, limit);
    this.#verifier.addBodyHash = (form, algorithm, length) => this.#addBodyHash(form, algorithm, length);
  }

  /** Once, before the body. */
  async header(fields: readonly CameField[]): Promise<void> {
    const text = fields.map((field) => `${field.text}\r\n`).join("");
    await this.#verifier.emitHeaders(Buffer.from(`${text}\r\n`, "latin1"));
  }

  update(chunk: Uint8Array): void {
    for (const hash of this.#verifier.bodyHashes.values()) hash.update(chunk);
  }

  /** Ends the body. Those of DKIM, at least one: "none" where the message is not signed. */
  async results(): Promise<readonly SignatureResult[]> {
    await this.#verifier.finalChunk();
    return this.#verifier.results;
  }

  /** After results(). */
  get verifier(): DkimVerifier {
    return this.#verifier;
  }

  #addBodyHash(form: string, algorithm: string, length: number | ""): string {
    const { bodyHashes } = this.#verifier;
    const key = `${form}:${algorithm}:${length}`;
    if (!bodyHashes.has(key)) bodyHashes.set(key, new Hasher(form, algorithm, length));
    return key;
  }
}

/** Passes over signatures above the limit, from the top, and refuses those that name too many fields. */
function bound(verifier: DkimVerifier, limit: number): void {
  const readHeaders = verifier.messageHeaders.bind(verifier);
  verifier.messageHeaders = (headers) => {
    let signatures = 0;
    for (const field of headers.parsed) {
      // Under no name it is neither a signature nor covered by one.
      if (field.key === "dkim-signature" && ++signatures > limit) field.key = "";
    }
    return readHeaders(headers);
  };
  const prepare = verifier.prepareSignature.bind(verifier);
  verifier.prepareSignature = (signature: SignatureField) => {
    prepare(signature);
    if (String(signature.parsed?.["h"]?.value ?? "").split(":").length > MAX_NAMES) {
      signature.invalid = "too many signed fields";
    }
  };
}

/** Our hash as the library knows one. */
class Hasher implements BodyHasher {
  readonly #hash: BodyHash;
  readonly #limit: number;
  byteLength = 0;

  constructor(form: string, algorithm: string, length: number | "") {
    this.#limit = length === "" ? Number.POSITIVE_INFINITY : length;
    this.#hash = new BodyHash(form === "relaxed" ? "relaxed" : "simple", {
      algorithm: algorithm === "sha1" ? "sha1" : "sha256",
      limit: this.#limit,
    });
  }

  get canonicalizedLength(): number {
    return this.#hash.canonicalBytes;
  }

  get bodyHashedBytes(): number {
    return Math.min(this.#limit, this.#hash.canonicalBytes);
  }

  update(chunk: Uint8Array): void {
    this.byteLength += chunk.length;
    this.#hash.update(chunk);
  }

  digest(): string {
    return this.#hash.digest();
  }

  setContentType(): void {}

  getMimeStructureStart(): false {
    return false;
  }
}
