/** dkim/sign.ts: the DKIM-Signature field (RFC 6376 §3.5, §3.7; RFC 8463 for Ed25519). No l=: it lets text be added. */
import { createHash, sign as cryptoSign } from "node:crypto";
import type { Canonicalization } from "./body-hash.ts";
import { canonicalField, type Field, hashedFields, signedNames } from "./fields.ts";
import type { DkimKey } from "./key.ts";

export interface SigningKey extends DkimKey {
  /** A-labels, lower case. */
  readonly domain: string;
  readonly selector: string;
}

export interface SigningOptions {
  readonly header: Canonicalization;
  readonly body: Canonicalization;
  /** bh= */
  readonly bodyHash: string;
  readonly nowMs: number;
  /** Seconds from now to x=; 0: the signature does not expire. */
  readonly lifetimeS: number;
}

/** Columns of the folded field. */
const WIDTH = 76;

/** The field without its final CRLF, to be put on top of the fields it signs. The work is done in libuv's threads. */
export async function signMessage(fields: readonly Field[], key: SigningKey, options: SigningOptions): Promise<string> {
  const names = signedNames(fields);
  const unsigned = unsignedField(names, key, options);
  const hashed = hashedFields(names, fields, options.header) + canonicalField(unsigned, options.header);
  const signature = await signText(Buffer.from(hashed, "latin1"), key);
  return unsigned + folded(signature.toString("base64"));
}

/** Everything but the signature; ends with `b=`. */
function unsignedField(names: readonly string[], key: SigningKey, options: SigningOptions): string {
  const seconds = Math.floor(options.nowMs / 1000);
  const times = options.lifetimeS > 0 ? `t=${seconds}; x=${seconds + options.lifetimeS}` : `t=${seconds}`;
  const lines = [
    `DKIM-Signature: v=1; a=${key.algorithm}; c=${options.header}/${options.body};`,
    `\td=${key.domain}; s=${key.selector}; ${times};`,
    `\th=${foldedNames(names)};`,
    `\tbh=${options.bodyHash};`,
    "\tb=",
  ];
  return lines.join("\r\n");
}

/** Folds behind colons, where §3.5 allows white space. */
function foldedNames(names: readonly string[]): string {
  let text = "";
  let column = 10;
  for (const [i, name] of names.entries()) {
    const item = i === names.length - 1 ? name : `${name}:`;
    if (column + item.length > WIDTH) {
      text += "\r\n\t ";
      column = 9;
    }
    text += item;
    column += item.length;
  }
  return text;
}

function folded(base64: string): string {
  const pieces = base64.match(/.{1,66}/g) ?? [];
  return pieces.join("\r\n\t ");
}

function signText(bytes: Buffer, { algorithm, key }: DkimKey): Promise<Buffer> {
  // RFC 8463 §3: PureEdDSA over the hash of the text, not over the text.
  const data = algorithm === "rsa-sha256" ? bytes : createHash("sha256").update(bytes).digest();
  const digest = algorithm === "rsa-sha256" ? "sha256" : null;
  return new Promise((resolve, reject) => {
    cryptoSign(digest, data, key, (error, signature) => (error ? reject(error) : resolve(signature)));
  });
}
