/** access/unlisted.ts: the "User unknown" check of reject_unlisted_sender, reject_unlisted_recipient, and of the implicit
 *  checks behind the lists (smtpd_reject_unlisted_*; postfix.md §1.4, §1.5): what the queue manager would only return. */
import { unreachable } from "../base/unreachable.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Address } from "../mail/address.ts";
import { printableAscii } from "../mail/printable.ts";
import type { Undeliverable } from "../rewrite/resolve.ts";
import { splitDsn } from "./action.ts";
import { oldDefaultText, usesOldDefault } from "./backward-compatibility.ts";
import { fixDsn, rejected, type Subject } from "./reply-text.ts";
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
  if (who === "recipient" && takesUnknownRecipients(services.params)) return DUNNO;
  if (!context.warnOnly) context.checked[who] = true;
  const replyClass = who === "sender" ? "Sender address" : "Recipient address";
  const subject: Subject = { name: address, replyClass };
  const found = ask(who, context, services);
  return found instanceof Promise
    ? found.then((why) => outcomeOf(why, subject, services))
    : outcomeOf(found, subject, services);
}

/** receive_override_options = no_unknown_recipient_checks: a filter hands back what was checked before it. */
export function takesUnknownRecipients(params: Parameters): boolean {
  return params.get("receive_override_options").includes("no_unknown_recipient_checks");
}

/** Resolvers that cannot tell more tell at least the table. */
function ask(
  who: "sender" | "recipient",
  { facts, trace }: Context,
  { resolver }: Services,
): Undeliverable | undefined | Promise<Undeliverable | undefined> {
  const address = resolver.rewrite(facts[who] ?? ("" as Address));
  if (resolver.undeliverable) {
    const sender = who === "recipient" ? (facts.sender ?? ("" as Address)) : ("" as Address);
    return resolver.undeliverable(address, { who, sender, trace });
  }
  const unlisted = (table: string | undefined): Undeliverable | undefined =>
    table === undefined ? undefined : { kind: "unlisted", table };
  const table = resolver.unlistedIn(address);
  return table instanceof Promise ? table.then(unlisted) : unlisted(table);
}

function outcomeOf(why: Undeliverable | undefined, subject: Subject, services: Services): Outcome {
  if (why === undefined) return DUNNO;
  switch (why.kind) {
    case "unlisted":
      return unknownUser(why.table, subject, services);
    case "error":
    case "retry":
      return undeliverable(why, subject, services);
    case "relayed":
      if (!usesOldDefault(services.params, "relay_domains", "2")) return DUNNO;
      services.log.info(
        printableAscii(oldDefaultText("relay_domains=$mydestination", `accept mail for address "${subject.name}"`)),
      );
      return DUNNO;
    default:
      return unreachable(why);
  }
}

function unknownUser(table: string, subject: Subject, { params }: Services): Outcome {
  const parameter = CODE_BY_TABLE.get(table as "local recipient") ?? "unknown_local_recipient_reject_code";
  const where = params.get("show_user_unknown_table_name") ? ` in ${table} table` : "";
  const reply = rejected(params.get(parameter), "5.1.1", subject, `User unknown${where}`);
  return { kind: "refuse", cause: "policy", reply };
}

/** The address leads to the error or the retry transport, whose next hop is the reason: relocated_maps, transport_maps. */
function undeliverable(
  { kind, text, addressClass }: Extract<Undeliverable, { kind: "error" | "retry" }>,
  subject: Subject,
  { params, log }: Services,
): Outcome {
  const reason = splitDsn(text);
  const dsn = reason.dsn === undefined ? "5.1.1" : fixDsn(reason.dsn, subject.replyClass, log);
  const code = addressClass === "virtualAlias" ? params.get("unknown_virtual_alias_reject_code") : 550;
  return { kind: "refuse", cause: "policy", reply: rejected(kind === "retry" ? 450 : code, dsn, subject, reason.text) };
}
