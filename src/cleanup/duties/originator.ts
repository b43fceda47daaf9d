/** cleanup/duties/originator.ts: From and Sender (RFC 5322 §3.6.2; RFC 6409 §8.1). A missing From is added by
 *  missing-fields.ts, as by Postfix. */
import { type Address, asAddress, formatAddress } from "../../mail/address.ts";
import { findAddresses } from "../../mail/header-address.ts";
import { fieldValue, type HeaderField } from "../header-block.ts";
import { isMailbox } from "./addresses.ts";
import { type Duty, type DutyFacts, makeField, replaced, shown } from "./duty.ts";
import { encodedField } from "./eight-bit-header.ts";

const named = (fields: readonly HeaderField[], name: string) => fields.filter((field) => field.name === name);

function addressesIn(fields: readonly HeaderField[], tokenLimit: number): readonly Address[] {
  return fields.flatMap((field) => findAddresses(fieldValue(field), tokenLimit).map(({ address }) => address));
}

/** A mailbox that may be put into From or Sender: never a bare login (MOD-04). Text of bytes. */
function ownMailbox({ mailbox, sender }: DutyFacts): string | undefined {
  const own = [mailbox, sender].find((address) => address !== undefined && isMailbox(address));
  return own && Buffer.from(formatAddress(own), "utf8").toString("latin1");
}

/** No From, or none that names a mailbox (MSG-06: a group without members, too). What stood there is kept as X-Original-From. */
export const from: Duty = (fields, facts) => {
  const [field] = named(fields, "from");
  if (field === undefined) {
    const resent = fields.some(({ name }) => name === "resent-from");
    return resent ? undefined : { problem: "From is missing", fields: withFrom(fields, undefined, facts) };
  }
  const value = fieldValue(field);
  const addresses = addressesIn([field], facts.tokenLimit);
  if (addresses.length > 0 && addresses.every(isMailbox)) return undefined;
  return { problem: `From has no valid address: ${shown(value)}`, fields: withFrom(fields, field, facts) };
};

/** What is missing is added later, with the sender's full name: here nothing changes. */
function withFrom(fields: readonly HeaderField[], old: HeaderField | undefined, facts: DutyFacts) {
  const own = ownMailbox(facts);
  if (old === undefined) return facts.sender === "" && own !== undefined ? [...fields, makeField("From", own)] : fields;
  if (own === undefined) return undefined;
  const kept = { name: "x-original-from", text: `X-Original-From:${old.text.slice(old.text.indexOf(":") + 1)}` };
  const original = facts.smtputf8 ? kept : (encodedField(kept) ?? kept);
  return replaced(fields, old, [makeField("From", own), ...(fieldValue(old) === "" ? [] : [original])]);
}

/** MSG-04: a second, different From lets one reader see another sender than the next. */
export const fromTwice: Duty = (fields) => {
  const all = named(fields, "from");
  if (all.length < 2) return undefined;
  const others = new Set(all.slice(1));
  return { problem: `${all.length} From fields that differ`, fields: fields.filter((field) => !others.has(field)) };
};

/** MSG-05 */
export const sender: Duty = (fields, facts) => {
  const authors = addressesIn(named(fields, "from"), facts.tokenLimit);
  if (authors.length < 2 || named(fields, "sender").length > 0) return undefined;
  const own = ownMailbox(facts) ?? latin1Address(authors[0]);
  return {
    problem: `From has ${authors.length} addresses and there is no Sender`,
    fields: own === undefined ? undefined : [...fields, makeField("Sender", own)],
  };
};

/** MOD-03, MOD-04 */
export const loginSender: Duty = (fields, facts) => {
  const { mailbox, loggedIn, tokenLimit } = facts;
  if (!loggedIn || mailbox === undefined || !isMailbox(mailbox)) return undefined;
  const own = Buffer.from(formatAddress(mailbox), "utf8").toString("latin1");
  const given = named(fields, "sender");
  const authors = named(fields, "from");
  // Of the envelope sender From will be made.
  const made = given.length === 0 && authors.length === 0 && facts.sender !== "" ? [facts.sender] : [];
  const told = [...made, ...addressesIn(given.length > 0 ? given : authors, tokenLimit)];
  if (told.length === 0 && given.length === 0) return undefined;
  if (told.some((address) => sameAddress(address, own))) return undefined;
  const [field] = given;
  return {
    problem: `the login's address is not in ${field ? "Sender" : "From"}: ${shown(told[0] ?? "")}`,
    fields: field ? replaced(fields, field, [makeField("Sender", own)]) : [...fields, makeField("Sender", own)],
  };
};

function sameAddress(address: Address, own: string): boolean {
  return formatAddress(address).toLowerCase() === own.toLowerCase();
}

function latin1Address(address: Address | undefined): string | undefined {
  return address !== undefined && isMailbox(asAddress(address)) ? formatAddress(address) : undefined;
}
