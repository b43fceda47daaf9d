/** smtpd/commands/ehlo.ts: EHLO: which extensions are announced, in Postfix's order (postfix.md §3.2). Announces only what
 *  works. */
import { type Awaitable, whenKnown } from "../../base/awaitable.ts";
import type { Reply } from "../../mail/reply.ts";
import { offersBinaryMime } from "../chunk-reader.ts";
import { dataError } from "../data-error.ts";
import { offersRequireTls } from "../requiretls.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import { limitsLines } from "../session-quotas.ts";
import { submissionLines } from "../submission-extensions.ts";
import { offersEtrn } from "./etrn.ts";
import { greet } from "./helo.ts";
import { XCLIENT_KEYWORD } from "./xclient.ts";
import { XFORWARD_KEYWORD } from "./xforward.ts";

export function runEhlo(session: Session, args: string): Awaitable<HandlerResult> {
  if (args === "") return answer(501, undefined, "Syntax: EHLO hostname");
  return whenKnown(greet(session, args, "ESMTP"), (refused) => (refused ? replyWith(refused) : announce(session)));
}

function announce(session: Session): HandlerResult {
  const doubtful = doubtfulKeyword(session);
  if (doubtful !== undefined) {
    session.log.warning(`don't know if EHLO feature ${doubtful} should be announced to ${session.peer}`);
    return dataError(session);
  }
  if (session.discarded === undefined) return dataError(session);
  const { keywords, silent } = session.discarded;
  if (keywords.size > 0 && !silent) {
    session.log.info(`discarding EHLO keywords: ${LOG_ORDER.filter((word) => keywords.has(word)).join(" ")}`);
  }
  return replyWith(ehloReply(session));
}

/** Keywords as Postfix lists what it takes away. */
const LOG_ORDER =
  "8BITMIME AUTH ETRN PIPELINING SIZE VERP VRFY XCLIENT XFORWARD STARTTLS ENHANCEDSTATUSCODES DSN SMTPUTF8 CHUNKING BINARYMIME REQUIRETLS LIMITS FUTURERELEASE DELIVERBY MT-PRIORITY".split(
    " ",
  );

/** A keyword of which it cannot be known now whether this client is to see it. */
function doubtfulKeyword(session: Session): string | undefined {
  const { options } = session;
  const lists = [
    { keyword: "AUTH", answer: options.sasl === undefined ? false : session.saslExcepted },
    { keyword: "XCLIENT", answer: session.xclientAllowed },
    { keyword: "XFORWARD", answer: session.xforwardAllowed },
  ];
  return lists.find(({ keyword, answer }) => answer === undefined && session.keeps(keyword))?.keyword;
}

/** The reply for the session as it is: it differs before and after STARTTLS (AUTH-01, TLS-03). */
function ehloReply(session: Session): Reply {
  const { settings } = session;
  const keep = (keyword: string) => session.keeps(keyword);
  const lines = [settings.hostname];
  if (keep("PIPELINING")) lines.push("PIPELINING");
  if (keep("SIZE")) lines.push(settings.messageSizeLimit > 0 ? `SIZE ${settings.messageSizeLimit}` : "SIZE");
  if (keep("VRFY") && !settings.vrfyDisabled) lines.push("VRFY");
  if (keep("ETRN") && offersEtrn(session)) lines.push("ETRN");
  if (keep("STARTTLS") && !session.tls && session.tlsContext) lines.push("STARTTLS");
  if (keep("AUTH")) lines.push(...authLines(session));
  if (keep("XCLIENT") && session.xclientAllowed) lines.push(XCLIENT_KEYWORD);
  if (keep("XFORWARD") && session.xforwardAllowed) lines.push(XFORWARD_KEYWORD);
  if (keep("ENHANCEDSTATUSCODES")) lines.push("ENHANCEDSTATUSCODES");
  if (keep("8BITMIME")) lines.push("8BITMIME");
  if (keep("DSN")) lines.push("DSN");
  if (keep("SMTPUTF8") && settings.smtputf8) lines.push("SMTPUTF8");
  if (keep("CHUNKING")) lines.push("CHUNKING");
  if (offersBinaryMime(session)) lines.push("BINARYMIME");
  if (offersRequireTls(session)) lines.push("REQUIRETLS");
  if (keep("LIMITS")) lines.push(...limitsLines(session));
  lines.push(...submissionLines(session));
  return { code: 250, dsn: undefined, lines };
}

function authLines(session: Session): readonly string[] {
  const { options, settings } = session;
  if (options.sasl === undefined || (settings.tlsAuthOnly && !session.tls)) return [];
  if (session.saslExcepted) return [];
  const names = options.announce(options.sasl, { tls: session.tls !== undefined }).map((m) => m.name);
  if (names.length === 0) return [];
  const list = names.join(" ");
  return settings.brokenSaslClients ? [`AUTH ${list}`, `AUTH=${list}`] : [`AUTH ${list}`];
}
