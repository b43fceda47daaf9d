/** smtpd/commands/rcpt.ts: RCPT TO (RFC 5321 §4.1.1.3). Order of tests as Postfix (postfix.md §3.5). */
import { type Awaitable, whenKnown } from "../../base/awaitable.ts";
import type { Address } from "../../mail/address.ts";
import type { RecipientDsn } from "../../mail/dsn.ts";
import { parsePath } from "../../mail/path.ts";
import { isProbeSender } from "../../mail/probe-sender.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { TableError } from "../../tables/table.ts";
import { passRecipient } from "../filtering.ts";
import { parseRcptParameters } from "../mail-parameters.ts";
import { type MilterPath, milterRcpt, milterRefusedRcpt } from "../milters.ts";
import { recordDecision } from "../record-decision.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import { countDomain, isDomainTooMany, recipientLimit } from "../session-quotas.ts";
import type { Transaction } from "../transaction.ts";
import { applyVerdict } from "../verdict.ts";
import { checkSmtputf8, hasUtf8Domain, logBadAddress } from "./mail.ts";

export function runRcpt(session: Session, args: string): Awaitable<HandlerResult> {
  const transaction = session.transaction;
  if (transaction === undefined) return answer(503, "5.5.1", "Error: need MAIL command"); // SMTP-22
  if (session.chunks !== undefined) return answer(503, "5.5.1", "Error: RCPT after BDAT");
  const text = /^TO:(.*)$/is.exec(args)?.[1];
  if (text === undefined || text.trim() === "") return answer(501, "5.5.4", "Syntax: RCPT TO:<address>");
  return whenKnown(session.limits.rcpt(session), (tooMany) =>
    tooMany ? replyWith(tooMany) : takeRecipient(session, transaction, text),
  );
}

function takeRecipient(session: Session, transaction: Transaction, text: string): Awaitable<HandlerResult> {
  const { settings } = session;
  const path = parsePath(text, { ...settings.pathSyntax, nullAllowed: false });
  if (path === undefined || (hasUtf8Domain(path.address) && !transaction.start.smtputf8)) {
    logBadAddress(session, "RCPT", text);
    return answer(501, "5.1.3", "Bad recipient address syntax");
  }
  const parameters = parseRcptParameters(path.rest, { dsn: session.keeps("DSN") });
  if (parameters.kind === "bad") {
    if (parameters.warning !== undefined) session.log.warning(session.printable(parameters.warning));
    return replyWith(parameters.reply);
  }
  if (transaction.recipientCount >= recipientLimit(session)) return overLimit(session, transaction);
  if (isDomainTooMany(session, path.address)) {
    return answer(452, "4.5.3", "Error: too many recipient domains in one session");
  }
  return offer(session, transaction, { address: path.address, text, parameters: path.rest, dsn: parameters.value });
}

/** DAT-11: 452 per recipient beyond the limit; the others stay. Only a stubborn client makes errors with it. */
function overLimit(session: Session, transaction: Transaction): HandlerResult {
  transaction.overshoot++;
  const tolerated = transaction.overshoot <= session.settings.recipientOvershootLimit;
  return { kind: "reply", reply: reply(452, "4.5.3", "Error: too many recipients"), tolerated };
}

function decide(session: Session, address: Address): Awaitable<Reply | undefined> {
  return whenKnown(session.access.atRcpt(session.facts("RCPT", { recipient: address })), (verdict) => {
    recordDecision(session, address, verdict);
    return applyVerdict(session, verdict);
  });
}

/** What a client offers: one recipient. */
interface Offer extends MilterPath {
  readonly dsn: RecipientDsn | undefined;
}

function offer(session: Session, transaction: Transaction, offered: Offer): Awaitable<HandlerResult> {
  const { resolver } = session.options;
  const rewritten = resolver.rewrite(offered.address);
  if (!isFromProbes(session, rewritten)) return consider(session, transaction, { ...offered, rewritten });
  return whenKnown(ownProbeSender(session, rewritten), (sender) => {
    if (sender === undefined) return consider(session, transaction, { ...offered, rewritten });
    session.recipient = sender;
    // As in Postfix Milters hear of it: without recipients a message is none to them.
    return whenKnown(milterRcpt(session, { ...offered, address: sender }), (refused) => {
      session.recipient = undefined;
      return refused ? replyWith(refused) : take(session, transaction, { ...offered, rewritten: sender });
    });
  });
}

function consider(
  session: Session,
  transaction: Transaction,
  offered: Offer & { readonly rewritten: Address },
): Awaitable<HandlerResult> {
  const { address } = offered;
  session.recipient = address;
  const unwritable = checkSmtputf8(session, address);
  const decided =
    unwritable ??
    whenKnown(decide(session, address), (refused) => {
      if (!refused) return milterRcpt(session, offered);
      return whenKnown(milterRefusedRcpt(session, offered, refused), () => refused);
    });
  return whenKnown(decided, (refused) => {
    session.recipient = undefined;
    return refused ? replyWith(refused) : take(session, transaction, offered);
  });
}

function take(
  session: Session,
  transaction: Transaction,
  { address, text, rewritten, dsn }: Offer & { readonly rewritten: Address },
): Awaitable<HandlerResult> {
  const add = () => {
    transaction.addRecipient({ address: rewritten, original: address, dsn });
    countDomain(session, address);
    return answer(250, "2.1.5", "Ok");
  };
  const { filter } = session.options;
  if (filter !== undefined) {
    return passRecipient(session, transaction, { filter, command: `RCPT TO:${text}` }).then((refused) =>
      refused ? replyWith(refused) : add(),
    );
  }
  session.openQueueFile();
  return add();
}

function isFromProbes({ options: { probeSender, clock } }: Session, address: Address): boolean {
  return probeSender !== undefined && isProbeSender(address, probeSender, clock.now());
}

/** The sender of our probes without its time-dependent part, if it is an address of ours. Two servers that verify each
 *  other's senders must not refuse each other's probes; a foreign address is nobody's to relay to for that. */
async function ownProbeSender({ options }: Session, address: Address): Promise<Address | undefined> {
  try {
    return (await options.resolver.classOf(address)) === "default" ? undefined : options.probeSender?.address;
  } catch (error) {
    // What it is cannot be told now: the restrictions decide, and they meet the same table.
    if (error instanceof TableError) return undefined;
    throw error;
  }
}
