/** cleanup/missing-fields.ts: what a submission service adds to an incomplete message (RFC 6409 §8.2, §8.3; MOD-05, MOD-06).
 *  Never used for mail that only passes through (MOD-14). */
import type { Address } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import { type FromFormat, fromValue } from "./from-field.ts";
import type { HeaderField } from "./header-block.ts";

export interface CompletionFacts {
  readonly sender: Address;
  /** Of the sender, for From. */
  readonly fullName?: string | undefined;
  readonly fromFormat: FromFormat;
  readonly queueId: string;
  readonly arrivalMs: number;
  readonly myhostname: string;
  /** "" adds nothing. */
  readonly undisclosedRecipients: string;
}

/** The fields to add behind the client's own, in Postfix's order. A resent message is completed in its Resent-* block. */
export function missingFields(fields: readonly HeaderField[], facts: CompletionFacts): readonly HeaderField[] {
  const has = (name: string) => fields.some((field) => field.name === name);
  const resent = fields.some((field) => field.name.startsWith("resent-"));
  const prefix = resent ? "Resent-" : "";
  const added: HeaderField[] = [];
  const add = (name: string, value: string) => {
    if (!has(`${prefix}${name}`.toLowerCase())) added.push(makeField(`${prefix}${name}`, value));
  };
  add("Message-Id", messageId(facts));
  add("Date", formatMailDate(facts.arrivalMs));
  if (facts.sender !== "") add("From", latin1(fromValue(facts.sender, facts.fullName, facts.fromFormat)));
  if (facts.undisclosedRecipients !== "" && !resent && !["to", "cc", "bcc"].some(has)) {
    const colon = facts.undisclosedRecipients.indexOf(":");
    added.push({ name: facts.undisclosedRecipients.slice(0, colon).toLowerCase(), text: facts.undisclosedRecipients });
  }
  return added;
}

/** `<YYYYMMDDHHMMSS.queueid@myhostname>`, as Postfix makes it. */
export function messageId(facts: Pick<CompletionFacts, "queueId" | "arrivalMs" | "myhostname">): string {
  const stamp = new Date(facts.arrivalMs).toISOString().replace(/\D/g, "").slice(0, 14);
  return `<${stamp}.${facts.queueId}@${facts.myhostname}>`;
}

/** Fields are text of bytes. */
function latin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function makeField(name: string, value: string): HeaderField {
  return { name: name.toLowerCase(), text: `${name}: ${value}` };
}
