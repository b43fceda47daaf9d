/** smtpd/commands/mail.ts: MAIL FROM (RFC 5321 §4.1.1.2, RFC 6409). Order of tests as Postfix (postfix.md §3.5). */
import { type Awaitable, whenKnown } from "../../base/awaitable.ts";
import { type Address, domainOf } from "../../mail/address.ts";
import { isUnclosedPath, parsePath } from "../../mail/path.ts";
import { printableAscii } from "../../mail/printable.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { offersBinaryMime } from "../chunk-reader.ts";
import { grantSubmission } from "../grants.ts";
import { type MailParameters, parseMailParameters } from "../mail-parameters.ts";
import { type MilterPath, milterMail } from "../milters.ts";
import { offersRequireTls } from "../requiretls.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import { countMail } from "../session-quotas.ts";
import { offeredSubmission } from "../submission-extensions.ts";
import { Transaction } from "../transaction.ts";
import { applyVerdict, refuse } from "../verdict.ts";
import { checkGreeted } from "./helo.ts";

/** Why MAIL is refused now, whatever it says. */
function checkMail(session: Session): Reply | undefined {
  const ungreeted = checkGreeted(session);
  if (ungreeted) return ungreeted;
  if (session.transaction) return reply(503, "5.5.1", "Error: nested MAIL command"); // SMTP-24
  if (session.chunks !== undefined) return reply(503, "5.5.1", "Error: MAIL after BDAT");
  return undefined;
}

export function runMail(session: Session, args: string): Awaitable<HandlerResult> {
  const ending = countMail(session);
  if (ending) return { kind: "close", reply: ending };
  const refused = checkMail(session);
  if (refused) return replyWith(refused);
  const text = /^FROM:(.*)$/is.exec(args)?.[1];
  if (text === undefined || text.trim() === "") return answer(501, "5.5.4", "Syntax: MAIL FROM:<address>");
  return whenKnown(session.limits.mail(session), (tooMuch) =>
    tooMuch ? replyWith(tooMuch) : takeSender(session, args, text),
  );
}

function takeSender(session: Session, args: string, text: string): Awaitable<HandlerResult> {
  const { settings } = session;
  const path = parsePath(text, { ...settings.pathSyntax, nullAllowed: true });
  if (path === undefined || (hasUtf8Domain(path.address) && !/(?:^|\s)SMTPUTF8(?:\s|$)/i.test(path.rest))) {
    logBadAddress(session, "MAIL", text);
    return answer(501, "5.1.7", "Bad sender address syntax");
  }
  const parameters = parseMailParameters(path.rest, {
    smtputf8: settings.smtputf8 && session.keeps("SMTPUTF8"),
    dsn: session.keeps("DSN"),
    requireTls: offersRequireTls(session),
    lenientEnvid: settings.lenientEnvid,
    binaryMime: offersBinaryMime(session),
    submission: path.rest === "" ? undefined : offeredSubmission(session),
  });
  if (parameters.kind === "bad") return replyWith(parameters.reply);
  const given = { address: path.address, text, parameters: path.rest };
  return begin(session, transactionOf(path.address, parameters.value, args), given);
}

function transactionOf(sender: Address, parameters: MailParameters, args: string): Transaction {
  const { size, body, smtputf8, requireTls, auth, dsn, submission } = parameters;
  const transaction = new Transaction({
    ...{ sender, smtputf8, body, requireTls, dsn, submission },
    declaredSize: size,
    saslSender: auth,
  });
  transaction.mailCommand = `MAIL ${args}`;
  return transaction;
}

function begin(session: Session, transaction: Transaction, given: MilterPath): Awaitable<HandlerResult> {
  session.transaction = transaction;
  const { declaredSize } = transaction.start;
  const checked = whenKnown(
    checkSize(session, declaredSize) ?? checkSender(session),
    (refused) => refused ?? milterMail(session, given),
  );
  const granted = whenKnown(checked, (denied) => denied ?? grantSubmission(session, transaction));
  return whenKnown(granted, (denied) => {
    // Where a filter takes the message there is no queue file.
    const queued = session.options.filter === undefined;
    const refused = denied ?? (queued ? checkSpace(session) : undefined);
    if (!refused && queued && !session.settings.delayOpen) session.openQueueFile();
    if (!refused) return begun(transaction);
    session.resetTransaction();
    return replyWith(refused);
  });
}

/** A priority that was lowered is said (RFC 6710 §4.1). */
function begun({ priority, start }: Transaction): HandlerResult {
  if (priority === start.submission?.priority) return answer(250, "2.1.0", "Ok");
  return answer(250, "2.3.6", `${priority} is the priority of this message`);
}

function checkSize(session: Session, size: number | undefined): Reply | undefined {
  const limit = session.settings.messageSizeLimit;
  if (limit <= 0 || size === undefined || size <= limit) return undefined;
  return refuse(session, reply(552, "5.3.4", "Message size exceeds fixed limit")); // SIZE-02
}

function checkSender(session: Session): Awaitable<Reply | undefined> {
  const { settings } = session;
  return whenKnown(session.access.atMail(session.facts("MAIL")), (verdict) => {
    const refused = applyVerdict(session, verdict);
    const transaction = session.transaction;
    if (refused || transaction === undefined) return refused;
    if (transaction.sender === "" && session.user && !settings.authenticatedNullSender)
      return refuse(session, nullSenderRefusal(session.user.username));
    return checkSmtputf8(session, transaction.sender);
  });
}

function nullSenderRefusal(username: string): Reply {
  const text = printableAscii(`<>: Sender address rejected: user ${username} may not send with the null sender`);
  return reply(550, "5.7.1", text.slice(0, 480));
}

/** EAI-04, only where strict_smtputf8 asks for it: Postfix else lets 8-bit addresses pass. */
export function checkSmtputf8(session: Session, address: Address): Reply | undefined {
  if (!session.settings.strictSmtputf8 || session.transaction?.start.smtputf8) return undefined;
  if (!/[\u0080-\uffff]/.test(address)) return undefined;
  return reply(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address");
}

/** Without SMTPUTF8 that is no domain, though a local part may pass. */
export function hasUtf8Domain(address: Address): boolean {
  return /[\u0080-\uffff]/.test(domainOf(address) ?? "");
}

/** SIZE-03: room for one and a half of the largest message, and for what queue_minfree keeps free. */
function checkSpace(session: Session): Reply | undefined {
  const { messageSizeLimit, queueMinFree } = session.settings;
  const free = session.options.freeBytes();
  if (free > queueMinFree && free > messageSizeLimit * 1.5) return undefined;
  session.log.warning(`not enough free space in mail queue: ${free} bytes < 1.5*message size limit`);
  return refuse(session, reply(452, "4.3.1", "Insufficient system storage"));
}

/** Postfix's warning about an address it cannot read. The line is bounded by line_length_limit. */
export function logBadAddress(session: Session, command: "MAIL" | "RCPT" | "VRFY", text: string): void {
  if (command !== "VRFY" && isUnclosedPath(text)) return;
  const shown = session.printable(text.trim());
  session.log.warning(`Illegal address syntax from ${session.peer} in ${command} command: ${shown}`);
}
