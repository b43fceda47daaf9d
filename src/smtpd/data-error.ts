/** smtpd/data-error.ts: the end of a session in which something that must be known cannot be known now. */
import { reply } from "../mail/reply.ts";
import { replyFields, sessionFields } from "./log-fields.ts";
import type { HandlerResult } from "./result.ts";
import type { Session } from "./session.ts";

/** Postfix's SMTP_ERR_DATA. The caller has logged what is unknown. */
export function dataError(session: Session): HandlerResult {
  const { settings, log, logId, where, peer } = session;
  const text = `${settings.hostname} Server local data error`;
  log.info(`${logId}: reject: ${where} from ${peer}: 421 4.3.0 ${text}`, () => ({
    ...sessionFields(session, "reject"),
    ...replyFields(`421 4.3.0 ${text}`),
  }));
  return { kind: "close", reply: reply(421, "4.3.0", text) };
}
