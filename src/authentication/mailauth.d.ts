/** authentication/mailauth.d.ts: the part of mailauth that has no types of its own: the verifier of DKIM signatures, as signatures.ts uses it.
 *  mailauth is pinned to one version; the tests of this room fail if what stands here is not so. */
declare module "mailauth/lib/dkim/dkim-verifier.js" {
  export interface SignatureField {
    parsed?: Record<string, { value: unknown } | undefined>;
    signingDomain?: string;
    /** Why it cannot be verified. */
    invalid?: string;
  }

  export interface ParsedHeaders {
    /** In the order of the message. `key`: lower case. */
    parsed: { key: string; casedKey: string; line: Buffer }[];
    original: Buffer;
  }

  export interface SignatureResult {
    id?: string;
    signingDomain?: string;
    selector?: string;
    info: string;
    status: {
      result: string;
      comment?: string | false;
      aligned?: string | false;
      /** Bytes of the body that `l=` leaves unsigned. */
      underSized?: number;
    };
  }

  export interface BodyHasher {
    /** Base64, once it has ended. */
    hash?: string;
    byteLength: number;
    canonicalizedLength: number;
    bodyHashedBytes: number;
    update(chunk: Uint8Array): void;
    digest(encoding: "base64"): string;
    setContentType(contentType: unknown): void;
    getMimeStructureStart(): number | false;
  }

  export class DkimVerifier {
    constructor(options: {
      resolver: (name: string, type: string) => Promise<unknown[]>;
      strict: boolean;
      minBitLength: number;
      curTime: Date;
      sender: string;
    });
    results: SignatureResult[];
    headerFrom: string[];
    /** In the order in which they are verified. */
    signatureHeaders: SignatureField[];
    fromFields: number;
    bodyHashes: Map<string, BodyHasher>;
    arc: { chain: unknown[] | false; error?: Error };
    headers: ParsedHeaders | false;
    /** Takes the whole header section. */
    messageHeaders(headers: ParsedHeaders): Promise<void>;
    addBodyHash(canonicalization: string, algorithm: string, limit: number | ""): string;
    prepareSignature(signature: SignatureField): void;
    finalChunk(): Promise<void>;
  }
}
