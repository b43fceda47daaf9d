/** smtpd/milters.ts: asks the Milters of the service about each step of a session, after the restrictions let it pass, and applies
 *  what they say (smtpd.c, check_milter_reply). Where there are none, nothing waits; of a message that is to be discarded none is
 *  told more. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Address } from "../mail/address.ts";
import { printableAscii } from "../mail/printable.ts";
import { formatReply, type Reply, replyText } from "../mail/reply.ts";
import type { Answer } from "../milter/answer.ts";
import type { MilterSession } from "../milter/milters.ts";
import { TableError } from "../tables/table.ts";
import { milterMacro } from "./milter-macros.ts";
import type { MilterRecipient, MilterRoute, Session } from "./session.ts";
import { logNotice } from "./verdict.ts";

/** Of a client, a name or an address that nobody knows. */
const UNKNOWN = "unknown";

/** Begins a session with each Milter, for the client that it has now; the refusal to give, or undefined. */
export function milterConnect(session: Session): Awaitable<Reply | undefined> {
  session.milters?.quit();
  const { name, address, port } = session.client;
  const begun = session.options.milters?.newSession((macro) => milterMacro(session, macro), session.log, address);
  return whenKnown(begun, (milters) => {
    session.milters = milters;
    const isNamed = name !== UNKNOWN || address === UNKNOWN;
    const client = { name: isNamed ? name : `[${address}]`, address, port };
    return ask(session, (asked) => asked.connect(client));
  });
}

export function milterHelo(session: Session, name: string): Awaitable<Reply | undefined> {
  return ask(session, (milters) => milters.helo(name));
}

/** What stands behind FROM: or TO:, in its parts. */
export interface MilterPath {
  readonly address: Address;
  /** All of it, as it was written. */
  readonly text: string;
  /** The parameters at its end. */
  readonly parameters: string;
}

export function milterMail(session: Session, sender: MilterPath): Awaitable<Reply | undefined> {
  if (!session.milters) return undefined;
  return whenKnown(routeOf(session, sender.address), (found) => {
    session.milterSender = found;
    return askOfMessage(session, (milters) => milters.mail(words(sender)));
  });
}

export function milterRcpt(session: Session, recipient: MilterPath): Awaitable<Reply | undefined> {
  if (!session.milters) return undefined;
  return whenKnown(routeOf(session, recipient.address), (found) =>
    whenKnown(
      about(session, found, () => askOfMessage(session, (milters) => milters.rcpt(words(recipient)))),
      (refused) => {
        if (!refused) session.milterRecipient ??= found;
        return refused;
      },
    ),
  );
}

/** The restrictions have refused a recipient: some Milters count those (SMFIP_RCPT_REJ). What they say of it means nothing. */
export function milterRefusedRcpt(session: Session, recipient: MilterPath, refusal: Reply): Awaitable<void> {
  const { milters } = session;
  if (!milters || session.transaction?.discard) return undefined;
  return about(session, { refusal }, () => milters.refusedRcpt(words(recipient)).then(() => undefined));
}

/** With the macros of this recipient. */
function about<T>(session: Session, recipient: MilterRecipient, run: () => Awaitable<T>): Awaitable<T> {
  const before = session.milterRecipient;
  session.milterRecipient = recipient;
  return whenKnown(run(), (answer) => {
    session.milterRecipient = before;
    return answer;
  });
}

export function milterData(session: Session): Awaitable<Reply | undefined> {
  return askOfMessage(session, (milters) => milters.data());
}

export function milterUnknown(session: Session, line: string): Awaitable<Reply | undefined> {
  return ask(session, (milters) => milters.unknown(line));
}

function words({ text, parameters }: MilterPath): readonly string[] {
  const path = text.slice(0, text.length - parameters.length).trim();
  return [path, ...parameters.split(/\s+/).filter(Boolean)];
}

function ask(session: Session, run: (milters: MilterSession) => Promise<Answer>): Awaitable<Reply | undefined> {
  const { milters } = session;
  return milters && run(milters).then((answer) => apply(session, answer));
}

function askOfMessage(
  session: Session,
  run: (milters: MilterSession) => Promise<Answer>,
): Awaitable<Reply | undefined> {
  return session.transaction?.discard ? undefined : ask(session, run);
}

/** The refusal to give, or undefined. */
function apply(session: Session, answer: Answer): Reply | undefined {
  const { transaction } = session;
  if (answer.kind === "refuse") {
    logMilter(session, "milter-reject", asLogged(answer.reply));
    return answer.reply;
  }
  if (answer.kind === "discard" && transaction) {
    logMilter(session, "milter-discard", "milter triggers DISCARD action");
    transaction.discard = true;
  } else if (answer.kind === "hold" && transaction) {
    logMilter(session, "milter-hold", "milter triggers HOLD action");
    transaction.hold = true;
  }
  return undefined;
}

/** As Postfix logs it: several lines as they are sent, line ends unprintable. */
function asLogged(answer: Reply): string {
  return answer.lines.length === 1 ? replyText(answer) : printableAscii(formatReply(answer).trimEnd());
}

/** Where no recipient is in question it names the first. */
function logMilter(session: Session, action: string, text: string): void {
  const { recipient, transaction } = session;
  session.recipient = recipient ?? transaction?.firstRecipient?.original;
  logNotice(session, action, text);
  session.recipient = recipient;
}

async function routeOf(session: Session, address: Address): Promise<MilterRoute> {
  const { resolver } = session.options;
  const rewritten = address === "" ? address : resolver.rewrite(address);
  try {
    return {
      address: rewritten,
      route: await resolver.route(rewritten, session.transaction?.sender ?? ("" as Address)),
    };
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    return { address: rewritten, route: undefined };
  }
}
