/** cleanup/duties/identification.ts: Message-ID (RFC 5322 §3.6.4; RFC 6409 §8.3). Missing ones are added by missing-fields.ts. */
import { fieldValue } from "../header-block.ts";
import { messageId as makeMessageId } from "../missing-fields.ts";
import { type Duty, makeField, replaced, shown, writtenName } from "./duty.ts";

/** One "@", no blanks, no brackets inside: what mail programs can refer to. Stricter forms are not worth a broken thread. */
const MESSAGE_ID = /^<[^<>@\s\x00-\x1f\x7f]+@(?:[^<>@\s\x00-\x1f\x7f[\]]+|\[[^<>@\s\x00-\x1f\x7f[\]]*\])>$/;
/** `<"quoted@part"@domain>` is legal too. */
const QUOTED_ID = /^<"(?:[^"\\\r\n]|\\.)*"@[^<>@\s]+>$/;

/** MOD-06 */
export const messageId: Duty = (fields, facts) => {
  const field = fields.find(({ name }) => name === "message-id");
  if (field === undefined) {
    const resent = fields.some(({ name }) => name === "resent-message-id");
    return resent ? undefined : { problem: "Message-ID is missing", fields };
  }
  const value = fieldValue(field);
  if (isMessageId(value, facts.smtputf8)) return undefined;
  return {
    problem: `Message-ID is not of the form <left@right>: ${shown(value)}`,
    fields: replaced(fields, field, [makeField(writtenName(field), makeMessageId(facts))]),
  };
};

function isMessageId(value: string, smtputf8: boolean): boolean {
  const text = value.replace(/\([^()]*\)$/, "").trim();
  if (!smtputf8 && /[\x80-\xff]/.test(text)) return false;
  return MESSAGE_ID.test(text) || QUOTED_ID.test(text);
}
