/** cleanup/duties/repeated.ts: fields that stand more often than RFC 5322 §3.6 allows, and fields without a value. */
import { fieldValue, type HeaderField } from "../header-block.ts";
import { type Duty, shown, writtenName } from "./duty.ts";

/** What joins the values of fields that may be taken as one (RFC 5322 §4.5.3; RFC 6409 leaves it to us): of the others the
 *  first stays. */
const JOINED: ReadonlyMap<string, string> = new Map([
  ...["to", "cc", "bcc", "reply-to"].map((name) => [name, ",\r\n\t"] as const),
  ...["references", "in-reply-to"].map((name) => [name, "\r\n\t"] as const),
]);
const SINGLE: ReadonlySet<string> = new Set([
  ...JOINED.keys(),
  ...["from", "sender", "date", "subject", "message-id"],
  ...["mime-version", "content-type", "content-transfer-encoding"],
]);
/** An empty Subject is a subject. */
const NEVER_EMPTY: ReadonlySet<string> = new Set([...SINGLE, "resent-to", "resent-cc", "resent-bcc"]);

/** MSG-04. Two From fields that differ are left to a check of their own. */
export const duplicate: Duty = (fields) => {
  const first = new Map<string, HeaderField>();
  const more = new Map<string, HeaderField[]>();
  for (const field of fields) {
    if (!SINGLE.has(field.name)) continue;
    const before = first.get(field.name);
    if (before === undefined) first.set(field.name, field);
    else if (field.name !== "from" || fieldValue(field) === fieldValue(before)) {
      const others = more.get(field.name);
      if (others) others.push(field);
      else more.set(field.name, [field]);
    }
  }
  if (more.size === 0) return undefined;
  const names = [...more].map(
    ([name, others]) => `${writtenName(others[0] ?? { name, text: name })} stands ${others.length + 1} times`,
  );
  const gone = new Set([...more.values()].flat());
  const kept = fields.filter((field) => !gone.has(field));
  return { problem: shown(names.join(", ")), fields: kept.map((field) => joined(field, more.get(field.name))) };
};

function joined(field: HeaderField, others: readonly HeaderField[] | undefined): HeaderField {
  const separator = JOINED.get(field.name);
  if (others === undefined || separator === undefined) return field;
  const seen = new Set([fieldValue(field)]);
  let { text } = field;
  for (const other of others) {
    const value = fieldValue(other);
    if (value === "" || seen.has(value)) continue;
    seen.add(value);
    // The source, with its folding.
    text += separator + other.text.slice(other.text.indexOf(":") + 1).trim();
  }
  return seen.size === 1 ? field : { name: field.name, text };
}

/** An empty From is told of by the check of From. */
export const empty: Duty = (fields) => {
  const isEmpty = (field: HeaderField) =>
    NEVER_EMPTY.has(field.name) && field.name !== "subject" && field.name !== "from" && fieldValue(field) === "";
  const found = fields.filter(isEmpty);
  if (found.length === 0) return undefined;
  const names = [...new Set(found.map(writtenName))].join(", ");
  return { problem: `no value: ${shown(names)}`, fields: fields.filter((field) => !isEmpty(field)) };
};
