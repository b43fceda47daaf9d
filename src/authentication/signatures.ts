/** authentication/signatures.ts: DKIM and ARC signatures of one message. mailauth reads the signatures, asks for the keys and verifies; the
 *  body is hashed by our own BodyHash, which holds no line of it, whatever its length. The header is the one that is
 *  stored, not the bytes that came: what a reader will see as header and as body is what is verified. */
import type {
  BodyHasher,
  DkimVerifier,
  ParsedHeaders,
  SignatureField,
  SignatureResult,
} from "mailauth/lib/dkim/dkim-verifier.js";
import { BodyHash } from "../dkim/body-hash.ts";
import type { CameField } from "../mail/message-authentication.ts";
import type { Library } from "./library.ts";
import type { Resolve } from "./questions.ts";

/** Names that one signature covers: real ones some dozens. Each costs a walk over all fields. */
const MAX_NAMES = 256;
/** Fields of a message whose signatures are verified. */
const MAX_FIELDS = 5000;
/** The second already makes it a message without an author; reading a long list of groups takes its time. */
const MAX_FROM_FIELDS = 2;
/** A longer From names nobody: the library takes quadratic time for lists of groups. */
const MAX_FROM_BYTES = 32 * 1024;
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
  readonly #limit: number;

  constructor({ library, resolve, limit, nowMs, sender }: SignatureOptions) {
    this.#verifier = new library.DkimVerifier({
      ...{ resolver: resolve, strict: true, minBitLength: LEAST_BITS, curTime: new Date(nowMs) },
      // Else it would believe a Return-Path of the message.
      sender: sender || "<>",
    });
    this.#limit = limit;
    this.#verifier.addBodyHash = (form, algorithm, length) => this.#addBodyHash(form, algorithm, length);
  }

  /** Once, before the body. */
  async header(fields: readonly CameField[]): Promise<void> {
    const tooMany = fields.length > MAX_FIELDS;
    refuseUnread(this.#verifier, tooMany);
    const read = tooMany ? fields.filter(({ name }) => name === "from" || name === "dkim-signature") : fields;
    // Its own parser takes quadratic time for a field of many lines.
    this.#verifier.headers = parsedHeaders(withinLimits(read, this.#limit));
    await this.#verifier.messageHeaders(this.#verifier.headers);
    authorsFirst(this.#verifier);
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

/** Fields as the library knows them. */
export function parsedHeaders(fields: readonly CameField[]): ParsedHeaders {
  const parsed = fields.map(({ name, text }) => ({
    key: name,
    casedKey: text.slice(0, name.length),
    line: Buffer.from(text, "latin1"),
  }));
  return { parsed, original: Buffer.alloc(0) };
}

/** Without the DKIM signatures below the limit, and From fields that are too many or too long. */
function withinLimits(fields: readonly CameField[], limit: number): readonly CameField[] {
  let signatures = 0;
  let authors = 0;
  return fields.filter(({ name, text }) => {
    if (name === "dkim-signature") return ++signatures <= limit;
    return name !== "from" || (++authors <= MAX_FROM_FIELDS && text.length <= MAX_FROM_BYTES);
  });
}

/** Those that may align with the author are verified before the time is used up by others. */
function authorsFirst({ signatureHeaders, headerFrom }: DkimVerifier): void {
  const tail = (domain: string) => domain.toLowerCase().split(".").slice(-2).join(".");
  const authors = new Set(headerFrom.map((address) => tail(address.slice(address.lastIndexOf("@") + 1))));
  const rank = ({ signingDomain = "" }: SignatureField) => (authors.has(tail(signingDomain)) ? 0 : 1);
  signatureHeaders.sort((a, b) => rank(a) - rank(b));
}

/** Signatures that would take too long are refused before they are verified. */
function refuseUnread(verifier: DkimVerifier, tooManyFields: boolean): void {
  const prepare = verifier.prepareSignature.bind(verifier);
  verifier.prepareSignature = (signature: SignatureField) => {
    prepare(signature);
    const names = String(signature.parsed?.h?.value ?? "").split(":").length;
    if (names > MAX_NAMES) signature.invalid = "too many signed fields";
    if (tooManyFields) signature.invalid = "too many header fields";
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
