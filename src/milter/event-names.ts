/** milter/event-names.ts: commands and answers of the protocol as log lines name them: the constants of libmilter's mfdef.h. */
import { COMMAND } from "./protocol.ts";

const EVENTS: ReadonlyMap<string, string> = new Map([
  [COMMAND.options, "OPTNEG"],
  [COMMAND.macro, "MACRO"],
  [COMMAND.connect, "CONNECT"],
  [COMMAND.helo, "HELO"],
  [COMMAND.mail, "MAIL"],
  [COMMAND.rcpt, "RCPT"],
  [COMMAND.data, "DATA"],
  [COMMAND.header, "HEADER"],
  [COMMAND.endOfHeader, "EOH"],
  [COMMAND.body, "BODY"],
  [COMMAND.endOfBody, "BODYEOB"],
  [COMMAND.abort, "ABORT"],
  [COMMAND.quit, "QUIT"],
  [COMMAND.unknown, "UNKNOWN"],
]);

/** With those that we do not understand. */
const RESPONSES: ReadonlyMap<string, string> = new Map([
  ["+", "ADDRCPT"],
  ["2", "ADDRCPT_PAR"],
  ["-", "DELRCPT"],
  ["4", "SHUTDOWN"],
  ["a", "ACCEPT"],
  ["b", "REPLBODY"],
  ["c", "CONTINUE"],
  ["d", "DISCARD"],
  ["e", "CHGFROM"],
  ["f", "CONN_FAIL"],
  ["h", "ADDHEADER"],
  ["i", "INSHEADER"],
  ["l", "SETSYMLIST"],
  ["m", "CHGHEADER"],
  ["p", "PROGRESS"],
  ["q", "QUARANTINE"],
  ["r", "REJECT"],
  ["s", "SKIP"],
  ["t", "TEMPFAIL"],
  ["y", "REPLYCODE"],
]);

/** `SMFIC_MAIL` */
export function eventName(command: string): string {
  const name = EVENTS.get(command);
  return name === undefined ? "(unknown MTA event)" : `SMFIC_${name}`;
}

/** `SMFIR_CONTINUE` */
export function responseName(kind: string): string {
  const name = RESPONSES.get(kind);
  return name === undefined ? "(unknown filter reply)" : `SMFIR_${name}`;
}
