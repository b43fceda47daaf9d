/** access/unlisted.ts: the "User unknown" check of reject_unlisted_sender, reject_unlisted_recipient, and of the implicit
 *  checks behind the lists (smtpd_reject_unlisted_*; postfix.md §1.4, §1.5). */
import type { Address } from "../mail/address.ts";
import { rejected, type Subject } from "./reply-text.ts";
import { type Context, DUNNO, type Outcome, type Services } from "./restriction.ts";

const CODE_BY_TABLE = new Map([
  ["local recipient", "unknown_local_recipient_reject_code"],
  ["relay recipient", "unknown_relay_recipient_reject_code"],
  ["virtual alias", "unknown_virtual_alias_reject_code"],
  ["virtual mailbox", "unknown_virtual_mailbox_reject_code"],
] as const);

/** Refuses an address that the table of its class does not list. Throws or rejects TableError. */
export function checkListed(
  who: "sender" | "recipient",
  context: Context,
  services: Services,
): Outcome | Promise<Outcome> {
  const address: Address | undefined = context.facts[who];
  if (address === undefined || address === "" || context.checked[who]) return DUNNO;
  if (!context.warnOnly) context.checked[who] = true;
  const replyClass = who === "sender" ? "Sender address" : "Recipient address";
  const table = services.resolver.unlistedIn(services.resolver.rewrite(address));
  const subject: Subject = { name: address, replyClass };
  return table instanceof Promise
    ? table.then((name) => unknownUser(name, subject, services))
    : unknownUser(table, subject, services);
}

function unknownUser(table: string | undefined, subject: Subject, { params }: Services): Outcome {
  if (table === undefined) return DUNNO;
  const parameter = CODE_BY_TABLE.get(table as "local recipient") ?? "unknown_local_recipient_reject_code";
  const where = params.get("show_user_unknown_table_name") ? ` in ${table} table` : "";
  const reply = rejected(params.get(parameter), "5.1.1", subject, `User unknown${where}`);
  return { kind: "refuse", cause: "policy", reply };
}
