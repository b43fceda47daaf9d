/** cleanup/rewrite-fields.ts: the addresses in header fields, rewritten and mapped as cleanup_rewrite_sender and
 *  cleanup_rewrite_recip do. Only an address that changes is replaced; all else keeps its bytes. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Turns } from "../base/turns.ts";
import { type Address, asAddress, formatAddress } from "../mail/address.ts";
import { type AddressSpan, findAddresses } from "../mail/header-address.ts";
import type { AddressMappings, AddressPlace } from "../rewrite/mappings.ts";
import { FIELD_COST, type HeaderField } from "./header-block.ts";

export interface FieldRewriting {
  /** Canonical form in the context of the header: local or remote. */
  readonly rewrite: (address: Address) => Address;
  /** undefined: none (no_address_mappings). */
  readonly mappings: Pick<AddressMappings, "changes" | "map"> | undefined;
  /** header_address_token_limit: addresses behind so many words and marks of a field stay. */
  readonly tokenLimit?: number | undefined;
  /** Takes log lines without queue id. */
  readonly warn: (text: string) => void;
  /** Of a header that is large. */
  readonly turns?: Turns | undefined;
}

const SENDER = "header_sender";
const RECIPIENT = "header_recipient";

/** Postfix's classes of address fields. */
const PLACES: ReadonlyMap<string, typeof SENDER | typeof RECIPIENT> = new Map([
  ...["from", "sender", "reply-to", "errors-to", "return-path", "return-receipt-to"].map((n) => [n, SENDER] as const),
  ...["disposition-notification-to", "mail-followup-to"].map((n) => [n, SENDER] as const),
  ...["resent-from", "resent-sender"].map((n) => [n, SENDER] as const),
  ...["to", "cc", "bcc", "apparently-to", "resent-reply-to"].map((n) => [n, RECIPIENT] as const),
  ...["resent-to", "resent-cc", "resent-bcc"].map((n) => [n, RECIPIENT] as const),
]);

const ADDRESS = "[\\w.+=~/-]+@[\\w-]+(?:\\.[\\w-]+)+";
/** Alternatives begin with classes that do not overlap what stands in front of them, so matching takes linear time. */
const MAILBOX = `(?:(?:[^<>()":;,@\\\\]|"[^"\\\\]*")*<${ADDRESS}>|\\s*${ADDRESS})\\s*`;
/** Complete addresses in the form that nearly all fields have: without maps, nothing changes there. */
const COMPLETE = new RegExp(`^${MAILBOX}(?:,${MAILBOX})*$`);

/** The fields in order; the same objects where nothing changes. Rejects MappingError. */
export async function rewriteFields(
  fields: readonly HeaderField[],
  rewriting: FieldRewriting,
): Promise<readonly HeaderField[]> {
  const rewritten: HeaderField[] = [];
  for (const field of fields) {
    const place = PLACES.get(field.name);
    const wait = rewriting.turns?.spend(place === undefined ? 1 : field.text.length + FIELD_COST);
    if (wait) await wait;
    const done = place === undefined ? field : rewriteField(field, place, rewriting);
    rewritten.push(done instanceof Promise ? await done : done);
  }
  return rewritten;
}

function rewriteField(field: HeaderField, place: AddressPlace, rewriting: FieldRewriting): Awaitable<HeaderField> {
  const start = field.text.indexOf(":") + 1;
  if (!rewriting.mappings?.changes(place) && COMPLETE.test(field.text.slice(start))) return field;
  return rewriteSpans(field, place, rewriting);
}

async function rewriteSpans(field: HeaderField, place: AddressPlace, rewriting: FieldRewriting): Promise<HeaderField> {
  const start = field.text.indexOf(":") + 1;
  const value = field.text.slice(start);
  let text = field.text.slice(0, start);
  let copied = 0;
  for (const span of findAddresses(value, rewriting.tokenLimit)) {
    const found = rewriteSpan(span, place, rewriting);
    const address = found instanceof Promise ? await found : found;
    if (address === undefined) continue;
    text += value.slice(copied, span.start) + address;
    copied = span.end;
  }
  return copied === 0 ? field : { name: field.name, text: text + value.slice(copied) };
}

/** The new text in bytes; undefined: it stays. */
function rewriteSpan(
  span: AddressSpan,
  place: AddressPlace,
  { rewrite, mappings, warn }: FieldRewriting,
): Awaitable<string | undefined> {
  const given = decode(span.address);
  // `ann@` is no address that a domain would complete.
  if (given === undefined || given.endsWith("@")) return undefined;
  // A final dot says that the domain is complete. In an envelope it is gone before anybody asks.
  const canonical = given.endsWith(".") ? asAddress(given.slice(0, -1)) : rewrite(given);
  return whenKnown(mappings ? mappings.map(canonical, place, warn) : canonical, (mapped) => {
    // A table must not put a line into the header.
    if (mapped === given || mapped === "" || /[\x00-\x1f\x7f]/.test(mapped)) return undefined;
    return Buffer.from(formatAddress(mapped), "utf8").toString("latin1");
  });
}

/** Fields are text of bytes, tables are UTF-8; undefined: other bytes, which no table can name. */
function decode(address: Address): Address | undefined {
  if (!/[\x80-\xff]/.test(address)) return address;
  const text = Buffer.from(address, "latin1").toString("utf8");
  return text.includes("\ufffd") ? undefined : asAddress(text);
}
