/** smtpd/commands/data.ts: DATA (RFC 5321 §4.1.1.4): streams the content to cleanup; 250 only after it is stored. */
import type { Awaitable } from "../../base/awaitable.ts";
import type { IncomingMessage, MessageOptions } from "../../cleanup/cleanup.ts";
import { receivedField } from "../../cleanup/received.ts";
import type { QueueId } from "../../mail/queue-id.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { TableError } from "../../tables/table.ts";
import { DataReader } from "../data-reader.ts";
import { FilteredMessage, logFilterAnswer } from "../filtering.ts";
import { answer, type HandlerResult, type Lost, lost, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import type { Transaction } from "../transaction.ts";
import { applyVerdict, logNotice } from "../verdict.ts";

/** Of a message that is never queued here. */
const NO_QUEUE_ID = "" as QueueId;

/** Why DATA is refused now, or undefined. */
function checkData(session: Session, args: string): Reply | undefined {
  if (session.transaction === undefined) return reply(503, "5.5.1", "Error: need RCPT command");
  if (session.transaction.recipientCount === 0) return reply(554, "5.5.1", "Error: no valid recipients"); // SMTP-23
  if (args !== "") return reply(501, "5.5.4", "Syntax: DATA");
  return undefined;
}

export async function runData(session: Session, args: string): Promise<HandlerResult> {
  const refused = checkData(session, args);
  const transaction = session.transaction;
  if (refused || transaction === undefined)
    return replyWith(refused ?? reply(503, "5.5.1", "Error: need RCPT command"));
  const only = transaction.onlyRecipient?.original;
  session.recipient = only;
  const facts = session.facts("DATA", only === undefined ? {} : { recipient: only });
  const decided = session.access.atData(facts);
  const denied = applyVerdict(session, decided instanceof Promise ? await decided : decided);
  if (denied) {
    session.recipient = undefined;
    return replyWith(denied);
  }
  const found = headerRole(session);
  const role = found instanceof Promise ? await found : found;
  if (role === undefined) {
    session.recipient = undefined;
    return replyWith(reply(451, "4.3.0", "Temporary lookup failure"));
  }
  const begun = transaction.filtered ? await beginFiltered(session, transaction, role) : undefined;
  if (begun && "refused" in begun) return replyWith(begun.refused);
  const message = begun?.message ?? session.options.cleanup.begin(messageOptions(session, transaction, role));
  session.send(reply(354, undefined, "End data with <CR><LF>.<CR><LF>"));
  try {
    return await take(session, message);
  } catch (bug) {
    await message.abort();
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
  const result = await finish(session, message, received);
  session.resetTransaction();
  return result;
}

/** How the header is completed; undefined: it cannot be known now, and the log says why. */
function headerRole(session: Session): Awaitable<"submission" | "mx" | undefined> {
  const { headerClients, role } = session.options;
  return headerClients === undefined ? role : roleFrom(headerClients, session);
}

async function roleFrom(
  headerClients: NonNullable<Session["options"]["headerClients"]>,
  session: Session,
): Promise<"submission" | "mx" | undefined> {
  try {
    return (await headerClients(session)) ? "submission" : "mx";
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    session.log.warning(`local_header_rewrite_clients: ${error.message}`);
    return undefined;
  }
}

/** The content goes to the before-queue filter, in front of it what smtpd(8) adds. */
async function beginFiltered(
  session: Session,
  transaction: Transaction,
  role: "submission" | "mx",
): Promise<{ readonly message: IncomingMessage } | { readonly refused: Reply } | undefined> {
  const { filtered, prepend } = transaction;
  if (filtered === undefined) return undefined;
  const begun = await filtered.begin();
  if (!begun.accepted) return { refused: begun.reply };
  // Who stands between two filters adds no Received of its own.
  const received = session.forwarded
    ? []
    : [receivedField(messageOptions(session, transaction, role), session.options.params)];
  const head = [...prepend, ...received].map((field) => `${field}\r\n`).join("");
  return { message: new FilteredMessage(filtered, Buffer.from(head)) };
}

function messageOptions(session: Session, transaction: Transaction, role: "submission" | "mx"): MessageOptions {
  const { options, client, helo, protocol, user } = session;
  const queueId = transaction.filtered ? NO_QUEUE_ID : transaction.queueId;
  if (queueId === undefined) throw new Error("A transaction with recipients has no queue id");
  const { sender, smtputf8, body, saslSender, dsn } = transaction.start;
  return {
    envelope: {
      queueId,
      sender: sender === "" ? sender : options.resolver.rewrite(sender),
      arrivalMs: options.clock.now(),
      smtputf8,
      body,
      origin: {
        clientName: client.name,
        clientAddress: client.address,
        helo,
        protocol,
        saslMethod: user?.method,
        saslUsername: user?.username,
        saslSender,
        service: options.serviceName,
        ...(session.forwarded && { forwarded: session.forwarded }),
      },
      ...(dsn !== undefined && { dsn }),
      ...(transaction.filter !== undefined && { filter: transaction.filter }),
    },
    recipients: transaction.recipients((address) => options.resolver.rewrite(address)),
    accepted: transaction.accepted,
    redirected: transaction.redirected,
    tls: session.tls,
    prepend: transaction.prepend,
    role,
  };
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

/** How long the next read may take: smtpd_timeout each, or one budget that grows with what has arrived. */
class Pace {
  readonly #session: Session;
  readonly #startedAt: number;

  constructor(session: Session) {
    this.#session = session;
    this.#startedAt = session.options.clock.monotonic();
  }

  timeoutMs(bytes: number): number {
    const { timeoutMs, perRequestDeadline, minDataRate } = this.#session.settings;
    if (!perRequestDeadline) return timeoutMs;
    const elapsed = this.#session.options.clock.monotonic() - this.#startedAt;
    return Math.max(1, timeoutMs + (bytes / minDataRate) * 1000 - elapsed);
  }
}

async function finish(
  session: Session,
  message: IncomingMessage,
  received: Extract<Received, { kind: "ended" }>,
): Promise<HandlerResult> {
  const { transaction, settings } = session;
  if (received.bareLf) session.sawBareLf = true;
  if (received.tooBig) {
    session.log.warning(`${session.logId}: queue file size limit exceeded`);
    return answer(552, "5.3.4", "Error: message file too big");
  }
  if (received.bareLf && settings.bareNewline === "reject" && !session.bareNewlineExcluded) {
    await message.abort();
    return bareNewline(session);
  }
  const { sizeBytes } = message;
  const only = transaction?.onlyRecipient?.original;
  const facts = session.facts("END-OF-MESSAGE", { sizeBytes, ...(only !== undefined && { recipient: only }) });
  const decided = session.access.atEndOfData(facts);
  const refused = applyVerdict(session, decided instanceof Promise ? await decided : decided);
  if (refused) {
    await message.abort();
    return replyWith(refused);
  }
  const result = await message.finish({ hold: transaction?.hold ?? false, discard: transaction?.discard ?? false });
  if (transaction?.filtered) logFilterAnswer(session, result);
  if (result.kind === "refused") return replyWith(result.reply);
  session.errors = 0;
  session.junk = 0;
  if (result.reply) return replyWith(result.reply);
  return answer(250, "2.0.0", `Ok: queued as ${transaction?.queueId}`);
}

/** SMUG-07, for commands and content. */
export function bareNewline(session: Session): HandlerResult {
  const { bareNewlineCode, hostname } = session.settings;
  const r = reply(bareNewlineCode, "5.5.2", `${hostname} Error: bare <LF> received`);
  logNotice(session, "reject", `${bareNewlineCode} 5.5.2 ${hostname} Error: bare <LF> received`);
  return replyWith(r);
}
