/** access/permit-log.ts: smtpd_log_access_permit_actions: which permits are logged, and the text of the line. */
import type { Parameters } from "../config/parameters.ts";
import { formatClient } from "../mail/client.ts";
import { compileNameList } from "../tables/pattern-list.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import type { Subject } from "./reply-text.ts";
import type { Context, PermitOrigin, Rule } from "./restriction.ts";

/** True if a permit of this name is to be logged. */
export type PermitLog = (action: string) => boolean;

/** undefined where nothing is logged. An item that cannot be read at once, or at all, logs nothing. */
export function compilePermitLog(params: Parameters, tables: TableOpener): PermitLog | undefined {
  const items = params.get("smtpd_log_access_permit_actions");
  if (items.length === 0) return undefined;
  const list = compileNameList(items, { opener: tables });
  return (action) => {
    try {
      return list.matches(action) === true;
    } catch (error) {
      if (error instanceof TableError) return false; // a log line less; mail goes on
      throw error;
    }
  };
}

/** `action=OK for Client host=mx.test[192.0.2.1] from texthash:/x`; words permit by what they look at. */
export function permitText(
  rule: Rule,
  origin: PermitOrigin | undefined,
  context: Context,
): { readonly action: string; readonly text: string } {
  const action = origin?.action ?? rule.ref.text;
  const { replyClass, name } = origin?.subject ?? subjectOf(rule, context);
  // The blank at the end is Postfix's.
  const from = origin === undefined ? " " : ` from ${origin.table}`;
  return { action, text: `action=${action} for ${replyClass}=${name}${from}` };
}

function subjectOf({ word }: Rule, { facts, subject }: Context): Subject {
  if (word === "permit_auth_destination" || word === "permit_postmaster" || word === "permit_mx_backup") {
    return { name: facts.recipient ?? "", replyClass: "Recipient address" };
  }
  if (word === "permit") return subject;
  return { name: formatClient(facts.client), replyClass: "Client host" };
}
