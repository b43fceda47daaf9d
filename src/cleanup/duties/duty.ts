/** cleanup/duties/duty.ts: what the checks of a submitted message have in common (RFC 6409 §8; RFC 5321 §6.4). A check looks at
 *  the header as it stands and says what is wrong with it and what would mend it; what follows is apply.ts. */
import type { Turns } from "../../base/turns.ts";
import type { Address } from "../../mail/address.ts";
import { printableAscii } from "../../mail/printable.ts";
import { FIELD_COST, type HeaderField } from "../header-block.ts";
import type { Steps } from "../steps.ts";

/** What a check knows besides the header. */
export interface DutyFacts {
  /** Of the envelope. */
  readonly sender: Address;
  /** The sender's own mailbox: of the login, where there is one; undefined: none is known. */
  readonly mailbox: Address | undefined;
  /** Somebody has logged in. */
  readonly loggedIn: boolean;
  readonly queueId: string;
  readonly arrivalMs: number;
  readonly myhostname: string;
  readonly mydomain: string;
  readonly myorigin: string;
  /** The message may have UTF-8 in its header (RFC 6532). */
  readonly smtputf8: boolean;
  /** header_address_token_limit */
  readonly tokenLimit: number;
  readonly body: BodyFacts;
  /** Content is to become 7-bit (force_mime_input_conversion). */
  readonly sevenBit: boolean;
}

/** What the body turned out to have. */
export interface BodyFacts {
  readonly eightBit: boolean;
  /** All of it is UTF-8. */
  readonly utf8: boolean;
}

/** For content that does not say what it is. */
export function contentCharset({ eightBit, utf8 }: BodyFacts): string {
  return eightBit ? (utf8 ? "utf-8" : "unknown-8bit") : "us-ascii";
}

/** What is wrong; one for all places of a message. */
export interface Finding {
  /** `Date is not in the form of RFC 5322: 2026-11-24`; printable, without the check's name. */
  readonly problem: string;
  /** The header without the fault; undefined: it cannot be mended. */
  readonly fields: readonly HeaderField[] | undefined;
  /** At some places it cannot be. */
  readonly left?: boolean;
}

/** undefined: nothing is wrong. */
export type Duty = (fields: readonly HeaderField[], facts: DutyFacts) => Finding | undefined;

/** What is wrong with one field. */
export interface FieldFault {
  /** Asked of the first one. */
  readonly problem: () => string;
  /** The field without the fault; undefined: it cannot be mended. */
  readonly mended: HeaderField | undefined;
}

/** A check that sees the fields one by one. */
export type FieldDuty = (field: HeaderField, facts: DutyFacts) => FieldFault | undefined;

/** One finding for all fields: the first one is told of, and each is mended that can be. `turns`: of a header that is large. */
export function* findInFields(
  duty: FieldDuty,
  fields: readonly HeaderField[],
  { facts, turns }: { readonly facts: DutyFacts; readonly turns?: Turns | undefined },
): Steps<Finding | undefined> {
  let problem: string | undefined;
  let mended: HeaderField[] | undefined;
  let left = false;
  for (const [i, field] of fields.entries()) {
    const wait = turns?.spend(field.text.length + FIELD_COST);
    if (wait) yield wait;
    const fault = duty(field, facts);
    if (fault === undefined) continue;
    problem ??= fault.problem();
    if (fault.mended === undefined) left = true;
    else {
      mended ??= [...fields];
      mended[i] = fault.mended;
    }
  }
  return problem === undefined ? undefined : { problem, fields: mended, left };
}

/** Characters of a value that are shown. */
const SHOWN = 60;

/** A field's value for a log line. */
export function shown(value: string): string {
  const text = printableAscii(value.trim());
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…`.replace("…", "...") : text;
}

export function makeField(name: string, value: string): HeaderField {
  return { name: name.toLowerCase(), text: `${name}: ${value}` };
}

/** The name as the field has it. */
export function writtenName({ text }: HeaderField): string {
  return text.slice(0, text.indexOf(":")).trimEnd();
}

/** The list with one field replaced, by any number of others. */
export function replaced(
  fields: readonly HeaderField[],
  old: HeaderField,
  by: readonly HeaderField[],
): readonly HeaderField[] {
  return fields.flatMap((field) => (field === old ? by : [field]));
}
