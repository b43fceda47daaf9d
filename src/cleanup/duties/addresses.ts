/** cleanup/duties/addresses.ts: addresses in header fields: incomplete ones (RFC 6409 §4.2) and those that break the syntax
 *  (§5.1; RFC 5322 §3.4.1). Runs behind the rewriting of rewrite-fields.ts, which completes what main.cf says. */
import { parseAddress } from "../../base/cidr.ts";
import { type Address, asAddress, domainOf, formatAddress, localPartOf } from "../../mail/address.ts";
import { findAddresses } from "../../mail/header-address.ts";
import { fieldValue, type HeaderField } from "../header-block.ts";
import { type DutyFacts, type FieldDuty, shown, writtenName } from "./duty.ts";

const FIELDS: ReadonlySet<string> = new Set([
  ...["from", "sender", "reply-to", "to", "cc", "bcc"],
  ...["resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc", "resent-bcc"],
]);
const LABEL = /^[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9_\x80-\xff-]*[A-Za-z0-9\x80-\xff])?$/;
/** A group without members, `undisclosed-recipients:;`, and what Outlook makes of it. */
const NO_ADDRESS = /^[^@<>]*(?::\s*;|undisclosed[ -]recipients)[^@<>]*$/i;

export function isAddressField({ name }: HeaderField): boolean {
  return FIELDS.has(name);
}

/** Whether an address can stand in a header: something, "@", and a domain of labels or an address literal. */
export function isMailbox(address: Address): boolean {
  const domain = domainOf(address);
  const local = localPartOf(address);
  if (domain === undefined || local === "" || local.includes("@") || local.length > 256) return false;
  if (domain.startsWith("[")) return isLiteral(domain);
  return domain.length <= 255 && domain.split(".").every((label) => label.length <= 63 && LABEL.test(label));
}

function isLiteral(domain: string): boolean {
  const text = domain.slice(1, domain.endsWith("]") ? -1 : undefined);
  return domain.endsWith("]") && parseAddress(text.replace(/^ipv6:/i, "")) !== undefined;
}

/** SUB-11, SUB-12: only a single label is completed. What the name of an incomplete longer domain means, nobody can know. */
export const unqualified: FieldDuty = (field, facts) => {
  if (!isAddressField(field)) return undefined;
  const start = field.text.indexOf(":") + 1;
  const value = field.text.slice(start);
  let text = field.text.slice(0, start);
  let first: Address | undefined;
  let copied = 0;
  let left = false;
  for (const span of findAddresses(value, facts.tokenLimit)) {
    if (!isIncomplete(span.address)) continue;
    first ??= span.address;
    const whole = complete(span.address, facts);
    left = whole === undefined;
    if (whole === undefined) break;
    text += value.slice(copied, span.start) + formatAddress(whole);
    copied = span.end;
  }
  if (first === undefined) return undefined;
  const shownAddress = `${writtenName(field)}: ${first}`;
  return {
    problem: () => `address is not fully qualified: ${shown(shownAddress)}`,
    mended: left ? undefined : { name: field.name, text: text + value.slice(copied) },
  };
};

/** A name alone, or a domain of one label. Whoever writes `host.` means it. */
function isIncomplete(address: Address): boolean {
  const domain = domainOf(address);
  if (domain === undefined) return true;
  return LABEL.test(domain) && localPartOf(address) !== "" && !localPartOf(address).includes("@");
}

function complete(address: Address, { mydomain, myorigin }: DutyFacts): Address | undefined {
  const whole = domainOf(address) === undefined ? `${address}@${myorigin}` : `${address}.${mydomain}`;
  return whole.slice(whole.lastIndexOf("@")).includes(".") && isMailbox(asAddress(whole))
    ? asAddress(whole)
    : undefined;
}

/** SUB-19. From has a check of its own. */
export const addressSyntax: FieldDuty = (field, { tokenLimit }) => {
  if (!isAddressField(field) || field.name === "from") return undefined;
  const value = fieldValue(field);
  if (value === "" || NO_ADDRESS.test(value.slice(0, 1000))) return undefined;
  const addresses = findAddresses(value, tokenLimit);
  const bad = addresses.find(({ address }) => domainOf(address) !== undefined && !isMailbox(address));
  if (addresses.length > 0 && bad === undefined) return undefined;
  return {
    problem: () => `bad address in ${writtenName(field)}: ${shown(bad?.address ?? value)}`,
    mended: undefined,
  };
};
