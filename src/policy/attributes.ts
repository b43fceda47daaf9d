/** policy/attributes.ts: the attributes of a policy request, their order and their form on the wire (postfix.md §4.1,
 *  SMTPD_POLICY_README). Every attribute is always sent, empty when nothing is known. Reads no session: the values come
 *  from access/. */
import { printableUtf8 } from "../mail/printable.ts";
import type { PolicyRequest } from "./policy.ts";

/** All attributes in the order in which they are sent. */
export const ATTRIBUTE_NAMES = [
  "request",
  "protocol_state",
  "protocol_name",
  "client_address",
  "client_name",
  "client_port",
  "reverse_client_name",
  "server_address",
  "server_port",
  "helo_name",
  "sender",
  "recipient",
  "recipient_count",
  "queue_id",
  "instance",
  "size",
  "etrn_domain",
  "stress",
  "sasl_method",
  "sasl_username",
  "sasl_sender",
  "ccert_subject",
  "ccert_issuer",
  "ccert_fingerprint",
  "ccert_pubkey_fingerprint",
  "encryption_protocol",
  "encryption_cipher",
  "encryption_keysize",
  "policy_context",
  "compatibility_level",
  "mail_version",
] as const;

export type AttributeName = (typeof ATTRIBUTE_NAMES)[number];

/** The value of `request=`: the only kind of request there is. */
export const REQUEST_KIND = "smtpd_access_policy";

/** What is known; missing and undefined are sent empty. */
export type AttributeValues = { readonly [N in Exclude<AttributeName, "request">]?: string | undefined };

/** A request with all attributes in order; every value is made printable and one line. */
export function composeRequest(values: AttributeValues): PolicyRequest {
  return ATTRIBUTE_NAMES.map(
    (name) => [name, name === "request" ? REQUEST_KIND : printableUtf8(values[name] ?? "")] as const,
  );
}

/** xtext (RFC 3461 §4) as Postfix sends certificate names: blanks, `+`, controls and all 8-bit bytes become `+XX`. */
export function encodeXtext(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x2b;
    encoded += plain ? String.fromCharCode(byte) : `+${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** The lines of a request on the wire; the last one is empty. */
export function requestLines(request: PolicyRequest): readonly string[] {
  return [...request.map(([name, value]) => `${name}=${value}`), ""];
}
