/** cleanup/transport-marks.ts: what a message itself says about how it may travel: 8-bit content that the client did not declare
 *  (BODY=), and the header field TLS-Required (RFC 8689 §3). Pure.
 *
 *  8-bit octets in the body count, declared or not: without them the next hop would be told "7BIT". So does the message's
 *  own Content-Transfer-Encoding, as in Postfix. Postfix reads that of parts, too; here their octets decide. */
import type { Parameters } from "../config/parameters.ts";
import type { Envelope } from "../mail/envelope.ts";
import { fieldValue, type HeaderField } from "./header-block.ts";
import { DOMAINS, parseEncoding } from "./mime-fields.ts";

/** The envelope with what the message says. `eightBit`: some octet of the body is above 127. */
export function markedEnvelope(
  envelope: Envelope,
  {
    fields,
    eightBit,
    params,
  }: { readonly fields: readonly HeaderField[]; readonly eightBit: boolean; readonly params: Parameters },
): Envelope {
  const undeclared = envelope.body === "7BIT" && (eightBit || saysEightBit(fields, params));
  const tlsOptional = envelope.requireTls !== true && needsNoTls(fields, params);
  if (!undeclared && !tlsOptional) return envelope;
  return { ...envelope, ...(undeclared && { body: "8BITMIME" }), ...(tlsOptional && { tlsOptional }) };
}

function saysEightBit(fields: readonly HeaderField[], params: Parameters): boolean {
  const said = fields.find(({ name }) => name === "content-transfer-encoding");
  if (said === undefined || !params.get("detect_8bit_encoding_header")) return false;
  const encoding = parseEncoding(fieldValue(said));
  return encoding !== undefined && DOMAINS[encoding] !== "7bit";
}

/** Two such fields say nothing: one of them may be somebody else's. */
function needsNoTls(fields: readonly HeaderField[], params: Parameters): boolean {
  const said = fields.filter(({ name }) => name === "tls-required");
  const [only] = said;
  if (only === undefined || said.length > 1 || !params.get("tls_required_enable")) return false;
  return /^no$/i.test(fieldValue(only));
}
