/** authentication/seal.ts: the ARC set (RFC 8617) that tells the next receiver what this one found, while that could still be found: an alias or a
 *  .forward file breaks SPF, and often the signature. Made over the header and body as they are stored; whether the mail will leave
 *  again is known only when it is delivered, so all mail that was verified is sealed. A seal that cannot be made is left out. */
import { BodyHash } from "../dkim/body-hash.ts";
import type { Signed, Signing } from "../dkim/create.ts";
import { type Field, SIGNED } from "../dkim/fields.ts";
import type { SigningKey } from "../dkim/sign.ts";
import type { AuthenticationVerdict } from "../mail/message-authentication.ts";
import type { Library } from "./library.ts";
import { parsedHeaders, type Signatures } from "./signatures.ts";

export interface SealOptions {
  readonly domain: string;
  /** Of the domain, or why they cannot be used. */
  readonly keys: () => readonly SigningKey[] | { readonly problem: string };
  readonly nowMs: number;
}

/** What is to be sealed: chain and results as the message came. */
export interface Sealed {
  readonly signatures: Signatures;
  readonly verdict: AuthenticationVerdict;
  readonly library: Library;
}

/** "signed" without fields: the chain cannot be sealed (it is full, or broken). */
async function sealFields(
  fields: readonly Field[],
  bodyHash: string,
  { signatures, verdict, library }: Sealed,
  { domain, keys, nowMs }: SealOptions,
): Promise<Signed> {
  const found = keys();
  if ("problem" in found) return { kind: "unavailable", reason: found.problem };
  // RFC 8617 §4: who verifies ARC need not know Ed25519.
  const key = found.find(({ algorithm }) => algorithm === "rsa-sha256") ?? found[0];
  if (key === undefined) return { kind: "unavailable", reason: `no key of ${domain}` };
  const { arc } = signatures.verifier;
  const sets = fields.filter(({ name }) => name === "arc-seal").length;
  // Some of it was taken out on the way, by header_checks or a Milter; or it was none to begin with.
  if (verdict.arc === "fail" || sets !== (arc.chain === false ? 0 : arc.chain.length))
    return { kind: "signed", fields: [] };
  const { headers, errors } = await library.createSeal(false, {
    headers: parsedHeaders(fields),
    arc,
    strict: true,
    seal: {
      signingDomain: domain,
      selector: key.selector,
      privateKey: String(key.key.export({ type: "pkcs8", format: "pem" })),
      cv: verdict.arc,
      authResults: verdict.field.slice(verdict.field.indexOf(":") + 1).trim(),
      signTime: new Date(nowMs),
      headerList: [...SIGNED, "dkim-signature"],
      bodyHash,
    },
  } as never);
  const [error] = errors;
  if (error) return { kind: "unavailable", reason: String(error.err?.message ?? error) };
  return { kind: "signed", fields: headers.map((text) => text.trim()) };
}

/** A seal speaks for this site, whoever is the author. */
interface Sealing extends Pick<Signing, "update"> {
  sign(fields: readonly Field[]): Promise<Signed>;
}

/** `sealed`: undefined where nothing could be verified. */
export function beginSeal(sealed: () => Promise<Sealed | undefined>, options: SealOptions): Sealing {
  const hash = new BodyHash("relaxed");
  return {
    update: (chunk) => hash.update(chunk),
    async sign(fields) {
      const bodyHash = hash.digest();
      const known = await sealed();
      return known ? sealFields(fields, bodyHash, known, options) : { kind: "signed", fields: [] };
    },
  };
}
