/** dkim/create.ts: the signer of one service: chooses the keys by the From domain, and signs when the body has streamed by. */
import { domainToASCII } from "node:url";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { domainOf } from "../mail/address.ts";
import { findAddresses } from "../mail/header-address.ts";
import type { FileSource } from "../tables/table.ts";
import { BodyHash, type Canonicalization } from "./body-hash.ts";
import type { Field } from "./fields.ts";
import { KeyRing } from "./key-ring.ts";
import { type SigningKey, signMessage } from "./sign.ts";

export type Signed =
  /** Fields to be put on top of those that were signed; none where no key is for the message. */
  | { readonly kind: "signed"; readonly fields: readonly string[] }
  /** Keys should have signed and cannot; `reason` is for the log. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** One message. */
export interface Signing {
  /** The body as it will be sent, with CRLF line ends, piece by piece. */
  update(chunk: Uint8Array): void;
  /** Ends the body. `fields`: the whole header as it will be sent, latin1 text. `owned`: whether who sends it owns the From
   *  addresses; undefined: that cannot be known now. Never rejects but for bugs. */
  sign(fields: readonly Field[], author: { readonly owned: boolean | undefined }): Promise<Signed>;
}

export interface Signer {
  /** "accept": a message that cannot be signed is queued unsigned. */
  readonly whenUnavailable: "defer" | "accept";
  begin(): Signing;
}

export interface SignerDeps {
  readonly files: FileSource;
  readonly clock: Clock;
  readonly log: Log;
}

/** The keys of one domain as often as they are asked for; undefined where there is no signing file. */
export function openKeys(
  params: Parameters,
  domain: string,
  { files, log }: Pick<SignerDeps, "files" | "log">,
): (() => readonly SigningKey[] | { readonly problem: string }) | undefined {
  const path = params.get("postern_dkim_signing_file");
  if (path === "") return undefined;
  const keyRing = new KeyRing(path, files, log);
  return () => keyRing.keysFor([domainToASCII(domain).toLowerCase()]);
}

/** undefined where nothing is signed. */
export function createSigner(params: Parameters, { files, clock, log }: SignerDeps): Signer | undefined {
  const path = params.get("postern_dkim_signing_file");
  if (path === "") return undefined;
  const keyRing = new KeyRing(path, files, log);
  const [header, body] = params.get("postern_dkim_canonicalization").split("/") as [Canonicalization, Canonicalization];
  const options = { header, body, lifetimeS: Math.floor(params.get("postern_dkim_signature_lifetime") / 1000) };
  const fallback = domainToASCII(params.get("postern_dkim_fallback_domain"));
  return {
    whenUnavailable: params.get("postern_dkim_unavailable_action"),
    begin() {
      const hash = new BodyHash(body);
      return {
        update: (chunk) => hash.update(chunk),
        async sign(fields, { owned }) {
          const bodyHash = hash.digest();
          if (owned === undefined) return { kind: "unavailable", reason: "the owner of From cannot be looked up" };
          const keys = keyRing.keysFor(signingDomains(authorDomains(fields), { owned, fallback }));
          if ("problem" in keys) return { kind: "unavailable", reason: keys.problem };
          const settings = { ...options, bodyHash, nowMs: clock.now() };
          return { kind: "signed", fields: await Promise.all(keys.map((key) => signMessage(fields, key, settings))) };
        },
      };
    },
  };
}

/** Domains of the From mailboxes as A-labels, in order (RFC 6376 §5.5: the author's). */
function authorDomains(fields: readonly Field[]): readonly string[] {
  const from = fields.find(({ name }) => name === "from")?.text ?? "";
  const value = Buffer.from(from.slice(from.indexOf(":") + 1), "latin1").toString("utf8");
  return findAddresses(value).map(({ address }) => domainToASCII(domainOf(address) ?? "").toLowerCase());
}

/** Whose keys are asked for, in order. For who does not own the From address the domain in it does not sign, nor one that would
 *  count as the same organisation to DMARC (RFC 7489 §3.1.1): the last two labels stand for it, which errs on the safe side. */
function signingDomains(
  authors: readonly string[],
  { owned, fallback }: { readonly owned: boolean; readonly fallback: string },
): readonly string[] {
  const last = fallback === "" ? [] : [fallback];
  if (owned) return [...authors, ...last];
  const organization = (domain: string) => domain.split(".").slice(-2).join(".");
  return last.filter((domain) => !authors.some((author) => organization(author) === organization(domain)));
}
