/** cleanup/transport-marks.ts: what a message itself says about how it may travel: 8-bit content that the client did not declare
 *  (BODY=), and the header field TLS-Required (RFC 8689 §3). Pure.
 *
 *  8-bit octets in the body count, declared or not: without them the next hop would be told "7BIT". So does the message's
 *  own Content-Transfer-Encoding, as in Postfix. Postfix reads that of parts, too; here their octets decide. */
import type { Parameters } from "../config/parameters.ts";
import type { Envelope } from "../mail/envelope.ts";
import { fieldValue, type HeaderField } from "./header-block.ts";
import { DOMAINS, parseEncoding } from "./mime-fields.ts";

/** Where mail goes that is returned because it is binary and was not declared. */
const UNDECLARED = "error:5.6.3 Binary content was not declared (BODY=BINARYMIME)";

interface Marks {
  /** The message's own header. */
  readonly fields: readonly HeaderField[];
  /** Some octet of the body is above 127. */
  readonly eightBit: boolean;
  readonly params: Parameters;
}

/** The envelope with what the message says. */
export function markedEnvelope(envelope: Envelope, marks: Marks): Envelope {
  const body = bodyOf(envelope.body, marks);
  // To the sender, whatever else would become of it (RFC 3030 §3).
  const returned = body === "BINARYMIME" && envelope.body !== body && says(marks.params, "return");
  const tlsOptional = envelope.requireTls !== true && needsNoTls(marks.fields, marks.params);
  if (body === envelope.body && !tlsOptional) return envelope;
  return { ...envelope, body, ...(tlsOptional && { tlsOptional }), ...(returned && { filter: UNDECLARED }) };
}

function bodyOf(declared: Envelope["body"], { fields, eightBit, params }: Marks): Envelope["body"] {
  if (declared === "BINARYMIME") return declared;
  const said = fields.find(({ name }) => name === "content-transfer-encoding");
  const encoding = said && parseEncoding(fieldValue(said));
  if (encoding === "binary" && !says(params, "pass")) return "BINARYMIME";
  if (eightBit || declared === "8BITMIME") return "8BITMIME";
  const saysEightBit = encoding !== undefined && DOMAINS[encoding] !== "7bit";
  return saysEightBit && params.get("detect_8bit_encoding_header") ? "8BITMIME" : "7BIT";
}

function says(params: Parameters, word: "pass" | "return"): boolean {
  return params.get("postern_undeclared_binary") === word;
}

/** Two such fields say nothing: one of them may be somebody else's. */
function needsNoTls(fields: readonly HeaderField[], params: Parameters): boolean {
  const said = fields.filter(({ name }) => name === "tls-required");
  const [only] = said;
  if (only === undefined || said.length > 1 || !params.get("tls_required_enable")) return false;
  return /^no$/i.test(fieldValue(only));
}
