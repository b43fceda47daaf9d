/** cleanup/duties/mime.ts: the MIME fields of a message's own header (RFC 2045 §4, §6; RFC 6409 §8.4). */
import type { HeaderField } from "../header-block.ts";
import { DOMAINS, type Encoding, parseContentType, parseEncoding } from "../mime-fields.ts";
import { type BodyFacts, contentCharset, type Duty, type Finding, makeField, replaced, shown } from "./duty.ts";

/** What is written where an encoding should stand, by those who mean none. */
const PLAIN_CONTENT = /^\s*"?\s*(?:(?:us-)?ascii|none|[78] bits?|utf-?8|iso-8859-\d+)\s*"?\s*$/i;

const givenValue = ({ text }: HeaderField) => text.slice(text.indexOf(":") + 1);

export const mimeVersion: Duty = (fields) => {
  const content = fields.find(({ name }) => name === "content-type" || name === "content-transfer-encoding");
  if (content === undefined || fields.some(({ name }) => name === "mime-version")) return undefined;
  const added = makeField("MIME-Version", "1.0");
  // In front of what it is for.
  return {
    problem: `${content.text.slice(0, content.text.indexOf(":")).trimEnd()} without MIME-Version`,
    fields: fields.flatMap((field) => (field === content ? [added, field] : [field])),
  };
};

/** MSG-14: 8-bit content that says it has none. What parts say of themselves: body-duties.ts. */
export const transferEncoding: Duty = (fields, { body, sevenBit }) => {
  const field = fields.find(({ name }) => name === "content-transfer-encoding");
  const type = fields.find(({ name }) => name === "content-type");
  const parsed = type && parseContentType(givenValue(type));
  const encoding = field === undefined ? "7bit" : parseEncoding(givenValue(field));
  const composite = parsed?.type === "multipart" || parsed?.type === "message";
  if (encoding === undefined && field !== undefined) return unknownEncoding(fields, field, body.eightBit && !sevenBit);
  if (composite && encoding !== undefined && DOMAINS[encoding] !== encoding) {
    return { problem: `a composite type has Content-Transfer-Encoding: ${encoding}`, fields: undefined };
  }
  // What is to become 7-bit is encoded with the body (body-duties.ts).
  if (!body.eightBit || encoding !== "7bit" || sevenBit) return undefined;
  return { problem: "8-bit content is called 7bit", fields: withEncoding(fields, "8bit", body) };
};

/** An encoding that nobody knows (RFC 2045 §6.4), and not just another word for none. */
export function isOpaque(value: string): boolean {
  return parseEncoding(value) === undefined && !PLAIN_CONTENT.test(value.slice(0, 100));
}

/** RFC 2045 §6.4: an encoding that nobody knows makes the content opaque. */
function unknownEncoding(fields: readonly HeaderField[], field: HeaderField, eightBit: boolean): Finding {
  const value = givenValue(field);
  const problem = `Content-Transfer-Encoding is none: ${shown(value)}`;
  if (isOpaque(value)) return { problem, fields: undefined };
  const meant = makeField("Content-Transfer-Encoding", eightBit ? "8bit" : "7bit");
  return { problem, fields: replaced(fields, field, [meant]) };
}

/** The fields of content that is in that encoding; of text in a character set that nobody knows, if they did not tell. */
export function withEncoding(
  fields: readonly HeaderField[],
  encoding: Encoding,
  body: BodyFacts,
): readonly HeaderField[] {
  const field = fields.find(({ name }) => name === "content-transfer-encoding");
  const typed = fields.some(({ name }) => name === "content-type") ? fields : withType(fields, body);
  const said = makeField("Content-Transfer-Encoding", encoding);
  return field ? replaced(typed, field, [said]) : [...typed, said];
}

function withType(fields: readonly HeaderField[], body: BodyFacts): readonly HeaderField[] {
  const version = fields.some(({ name }) => name === "mime-version") ? [] : [makeField("MIME-Version", "1.0")];
  return [...fields, ...version, makeField("Content-Type", `text/plain; charset=${contentCharset(body)}`)];
}
