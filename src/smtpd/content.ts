/** smtpd/content.ts: what DATA and BDAT have in common: whether content may come now, where it goes, and what is answered when
 *  all of it has come. */
import type { Awaitable } from "../base/awaitable.ts";
import type { IncomingMessage, MessageOptions } from "../cleanup/cleanup.ts";
import { receivedField } from "../cleanup/received.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { TableError } from "../tables/table.ts";
import { guarded } from "./duplicates.ts";
import { FilteredMessage, logFilterAnswer } from "./filtering.ts";
import { priorityTunnel, tooBigForPriority } from "./grants.ts";
import { milterData } from "./milters.ts";
import { answer, type HandlerResult, replyWith } from "./result.ts";
import type { Session } from "./session.ts";
import type { Transaction } from "./transaction.ts";
import { applyVerdict, logNotice } from "./verdict.ts";

/** Of a message that is never queued here. */
const NO_QUEUE_ID = "" as QueueId;

export type Begun = { readonly message: IncomingMessage } | { readonly refused: Reply };

/** Asks the data restrictions, then opens the message. */
export async function beginContent(session: Session, command: "DATA" | "BDAT"): Promise<Begun> {
  const { transaction } = session;
  if (transaction === undefined) return { refused: reply(503, "5.5.1", "Error: need RCPT command") };
  if (transaction.recipientCount === 0) return { refused: reply(554, "5.5.1", "Error: no valid recipients") }; // SMTP-23
  const only = transaction.onlyRecipient?.original;
  session.recipient = only;
  const facts = session.facts(command, only === undefined ? {} : { recipient: only });
  const decided = session.access.atData(facts);
  const denied = applyVerdict(session, decided instanceof Promise ? await decided : decided);
  const asked = denied ?? milterData(session);
  const unwanted = asked instanceof Promise ? await asked : asked;
  const found = unwanted ? undefined : headerRole(session);
  const role = found instanceof Promise ? await found : found;
  if (role === undefined) {
    session.recipient = undefined;
    return { refused: unwanted ?? reply(451, "4.3.0", "Temporary lookup failure") };
  }
  const begun = transaction.filtered ? await beginFiltered(session, transaction, role) : undefined;
  if (begun) return begun;
  const message = session.options.cleanup.begin(messageOptions(session, transaction, role));
  return { message: guarded(session, transaction, message) };
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
): Promise<Begun | undefined> {
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
  const { sender, smtputf8, body, requireTls, saslSender, dsn, submission } = transaction.start;
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
      ...(requireTls && { requireTls }),
      ...(dsn !== undefined && { dsn }),
      ...(submission !== undefined && { ...submission, priority: transaction.priority }),
      ...(transaction.filter !== undefined && { filter: transaction.filter }),
    },
    recipients: transaction.recipients((address) => options.resolver.rewrite(address)),
    accepted: transaction.accepted,
    redirected: transaction.redirected,
    tls: session.tls,
    prepend: transaction.prepend,
    role,
    authentication: session.authentication,
    tunnel: priorityTunnel(session, transaction),
    milters: transaction.filtered ? undefined : session.milters,
  };
}

/** How long the next read may take: smtpd_timeout each, or one budget that grows with what has arrived. */
export class Pace {
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

/** What is known of content that has come whole. */
export interface ReceivedContent {
  readonly tooBig: boolean;
  readonly bareLf: boolean;
}

/** Asks the end-of-data restrictions and queues the message. `ok`: what 250 says in front of "queued as". */
export async function finishContent(
  session: Session,
  message: IncomingMessage,
  received: ReceivedContent,
  ok: string,
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
  const ended = session.authentication && message.endOfData?.();
  if (ended) await ended;
  const only = transaction?.onlyRecipient?.original;
  const facts = session.facts("END-OF-MESSAGE", { sizeBytes, ...(only !== undefined && { recipient: only }) });
  const decided = session.access.atEndOfData(facts);
  const denied = applyVerdict(session, decided instanceof Promise ? await decided : decided);
  const refused = denied ?? (transaction && tooBigForPriority(session, transaction, sizeBytes));
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
  return answer(250, "2.0.0", `${ok} queued as ${result.duplicateOf ?? transaction?.queueId}`);
}

/** SMUG-07, for commands and content. */
export function bareNewline(session: Session): HandlerResult {
  const { bareNewlineCode, hostname } = session.settings;
  const r = reply(bareNewlineCode, "5.5.2", `${hostname} Error: bare <LF> received`);
  logNotice(session, "reject", `${bareNewlineCode} 5.5.2 ${hostname} Error: bare <LF> received`);
  return replyWith(r);
}
