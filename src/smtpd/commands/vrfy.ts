/** smtpd/commands/vrfy.ts: VRFY (RFC 5321 §3.5): 252, unless the recipient restrictions refuse the address. */
import { parsePath } from "../../mail/path.ts";
import { printableAscii } from "../../mail/printable.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import { applyVerdict } from "../verdict.ts";
import { logBadAddress } from "./mail.ts";

/** Why VRFY is refused now, whatever it asks. Needs no greeting, as in Postfix. */
function checkVrfy(session: Session): Reply | undefined {
  return session.settings.vrfyDisabled ? reply(502, "5.5.1", "VRFY command is disabled") : undefined;
}

export async function runVrfy(session: Session, args: string): Promise<HandlerResult> {
  const refused = checkVrfy(session);
  if (refused) return replyWith(refused);
  if (args === "") return answer(501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]");
  const utf8 = session.settings.smtputf8;
  const path = parsePath(args, { ...session.settings.pathSyntax, strict: false, nullAllowed: false });
  const declared = utf8 && path?.rest.toUpperCase() === "SMTPUTF8";
  if (path === undefined || (path.rest !== "" && !declared)) {
    logBadAddress(session, "VRFY", args);
    return answer(501, "5.1.3", "Bad recipient address syntax");
  }
  session.recipient = path.address;
  const verdict = await session.access.atVrfy(session.facts("VRFY", { recipient: path.address }));
  const denied = applyVerdict(session, verdict);
  session.recipient = undefined;
  if (denied) return replyWith(denied);
  const shown = args.slice(0, args.length - path.rest.length).trim();
  return answer(252, "2.0.0", declared ? session.printable(shown) : printableAscii(shown)); // EAI-05
}
