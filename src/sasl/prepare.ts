/** sasl/prepare.ts: from response bytes to comparable text: strict UTF-8, SASLprep (RFC 4013), constant-time equality.
 *  A text that cannot be prepared is undefined, and undefined always ends in a failed login. */
import { timingSafeEqual } from "node:crypto";
import saslprep from "@mongodb-js/saslprep";

// ignoreBOM keeps U+FEFF: the SCRAM proof is computed over the very bytes that came.
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of well-formed UTF-8, else undefined. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined; // the only error of a fatal decoder: not UTF-8
  }
}

/** SASLprep. A "stored" string must not hold code points unassigned in Unicode 3.2, a "query" may (RFC 3454 §7).
 *  undefined when the preparation fails or nothing is left (RFC 4616 §2). */
export function prepare(text: string, use: "query" | "stored"): string | undefined {
  try {
    const prepared = saslprep(text, { allowUnassigned: use === "query" });
    return prepared === "" ? undefined : prepared;
  } catch {
    return undefined; // prohibited, unassigned or badly bidirectional
  }
}

/** Equality in time that depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
