/** smtpd/commands/data.ts: DATA (RFC 5321 §4.1.1.4): streams the content to cleanup; 250 only after it is stored. */
import type { IncomingMessage } from "../../cleanup/cleanup.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { beginContent, finishContent, Pace } from "../content.ts";
import { DataReader } from "../data-reader.ts";
import { type HandlerResult, type Lost, lost, replyWith } from "../result.ts";
import type { Session } from "../session.ts";

/** Why DATA is refused now, or undefined. */
function checkData(session: Session, args: string): Reply | undefined {
  if (session.chunks !== undefined) return reply(503, "5.5.1", "Error: DATA after BDAT"); // BDAT-03
  if (session.transaction === undefined) return reply(503, "5.5.1", "Error: need RCPT command");
  if (session.transaction.recipientCount === 0) return reply(554, "5.5.1", "Error: no valid recipients"); // SMTP-23
  if (session.transaction.start.body === "BINARYMIME") return reply(503, "5.5.1", "Error: BINARYMIME needs BDAT"); // BDAT-08
  if (args !== "") return reply(501, "5.5.4", "Syntax: DATA");
  return undefined;
}

export async function runData(session: Session, args: string): Promise<HandlerResult> {
  const refused = checkData(session, args);
  if (refused) return replyWith(refused);
  const begun = await beginContent(session, "DATA");
  if ("refused" in begun) return replyWith(begun.refused);
  session.send(reply(354, undefined, "End data with <CR><LF>.<CR><LF>"));
  try {
    return await take(session, begun.message);
  } catch (bug) {
    await begun.message.abort();
    throw bug;
  }
}

/** From 354 to the reply behind the final dot. */
async function take(session: Session, message: IncomingMessage): Promise<HandlerResult> {
  const received = await receive(session, message);
  if (received.kind === "lost") {
    await message.abort();
    session.where = `DATA (${received.bytes} bytes)`;
    return lost(received.why);
  }
  session.where = "END-OF-MESSAGE";
  const result = await finishContent(session, message, received, "Ok:");
  session.resetTransaction();
  return result;
}

type Received =
  | { readonly kind: "lost"; readonly why: Lost; readonly bytes: number }
  | { readonly kind: "ended"; readonly tooBig: boolean; readonly bareLf: boolean };

/** Reads to the end of data, also when the message is already lost (DAT-12): the client must get its answer in turn. */
async function receive(session: Session, message: IncomingMessage): Promise<Received> {
  const { connection } = session;
  const limit = session.settings.messageSizeLimit;
  const reader = new DataReader();
  const pace = new Pace(session);
  let bytes = 0;
  for (;;) {
    const chunk = connection.takeChunk();
    if (chunk === undefined) {
      const result = await connection.wait(pace.timeoutMs(bytes));
      if (result === "interrupted" && !session.mustEnd) connection.clearInterrupt();
      else if (result !== "ready") return { kind: "lost", why: result, bytes };
      continue;
    }
    const used = reader.push(chunk);
    const content = reader.take();
    const before = bytes;
    bytes += content?.length ?? 0;
    const tooBig = limit > 0 && bytes > limit;
    if (content !== undefined && !tooBig) {
      const full = message.write(content);
      if (full !== undefined) await full;
    } else if (tooBig && before <= limit) await message.abort();
    if (!reader.ended) continue;
    connection.putBack(chunk.subarray(used));
    return { kind: "ended", tooBig, bareLf: reader.bareLf };
  }
}
