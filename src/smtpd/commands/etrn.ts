/** smtpd/commands/etrn.ts: ETRN (RFC 1985): a host asks for the mail that waits for its domain. Only on MX services: a
 *  submission server must not offer it (RFC 6409 §7, EHLO-01). Replies as Postfix, without enhanced status. */
import { isAddressLiteral, isHostname } from "../../access/hostname.ts";
import { reply } from "../../mail/reply.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import { applyVerdict } from "../verdict.ts";

/** Whether the service has ETRN at all. */
export function offersEtrn({ options }: Session): boolean {
  return options.role === "mx" && options.flushSite !== undefined;
}

export async function runEtrn(session: Session, args: string): Promise<HandlerResult> {
  if (!offersEtrn(session)) return answer(502, "5.5.1", "Error: command not implemented");
  if (session.settings.heloRequired && session.helo === undefined) {
    return answer(503, undefined, "Error: send HELO/EHLO first");
  }
  if (session.transaction) return answer(503, undefined, "Error: MAIL transaction in progress");
  if (args === "" || /[ \t]/.test(args)) return answer(500, undefined, "Syntax: ETRN domain");
  // `@domain` stands for subdomains and `#queue` for a queue: both mean the domain, as in Postfix.
  const domain = args.replace(/^[@#]/, "");
  if (!isHostname(domain) && !isAddressLiteral(domain)) {
    return answer(501, undefined, "Error: invalid parameter syntax");
  }
  const facts = { ...session.facts("ETRN"), etrnDomain: domain };
  const refused = applyVerdict(session, await session.access.atEtrn(facts));
  return refused ? replyWith(refused) : flush(session, domain);
}

async function flush(session: Session, domain: string): Promise<HandlerResult> {
  const shown = session.printable(domain).slice(0, 100);
  const outcome = await session.options.flushSite?.(domain.toLowerCase());
  if (outcome === "started") return answer(250, undefined, "Queuing started");
  if (outcome === "denied") {
    session.log.warning(`reject: ETRN ${shown}... from ${session.peer}`);
    return replyWith(reply(459, undefined, `<${session.printable(domain)}>: service unavailable`));
  }
  session.log.warning("unable to talk to fast flush service");
  return answer(458, undefined, "Unable to queue messages");
}
