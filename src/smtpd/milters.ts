/** smtpd/milters.ts: asks the Milters of the service about each step of a session, after the restrictions let it pass, and applies
 *  what they say (smtpd.c, check_milter_reply). Where there are none, nothing waits. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import { type Reply, replyText } from "../mail/reply.ts";
import type { Answer } from "../milter/answer.ts";
import type { MilterSession } from "../milter/milters.ts";
import { TableError } from "../tables/table.ts";
import type { MilterRoute, Session } from "./session.ts";
import { logNotice } from "./verdict.ts";

/** Begins a session with each Milter, for the client that it has now; the refusal to give, or undefined. */
export function milterConnect(session: Session): Awaitable<Reply | undefined> {
  session.milters?.quit();
  const { name, address, port } = session.client;
  const begun = session.options.milters?.newSession((macro) => macroOf(session, macro), session.log, address);
  return whenKnown(begun, (milters) => {
    session.milters = milters;
    const client = { name: name === "unknown" ? `[${address}]` : name, address, port };
    return ask(session, (asked) => asked.connect(client));
  });
}

export function milterHelo(session: Session, name: string): Awaitable<Reply | undefined> {
  return ask(session, (milters) => milters.helo(name));
}

/** `text`: what stands behind FROM: or TO:. */
export function milterMail(session: Session, sender: Address, parameters: string): Awaitable<Reply | undefined> {
  if (!session.milters) return undefined;
  return whenKnown(routeOf(session, sender), (found) => {
    session.milterSender = found;
    return ask(session, (milters) => milters.mail(words(sender, parameters)));
  });
}

export function milterRcpt(session: Session, recipient: Address, parameters: string): Awaitable<Reply | undefined> {
  if (!session.milters) return undefined;
  return whenKnown(routeOf(session, recipient), (found) => {
    session.milterRecipient = found;
    return ask(session, (milters) => milters.rcpt(words(recipient, parameters)));
  });
}

export function milterData(session: Session): Awaitable<Reply | undefined> {
  return ask(session, (milters) => milters.data());
}

export function milterUnknown(session: Session, line: string): Awaitable<Reply | undefined> {
  return ask(session, (milters) => milters.unknown(line));
}

function words(address: Address, parameters: string): readonly string[] {
  return [`<${formatAddress(address)}>`, ...parameters.split(/\s+/).filter(Boolean)];
}

function ask(session: Session, run: (milters: MilterSession) => Promise<Answer>): Awaitable<Reply | undefined> {
  const { milters } = session;
  return milters && run(milters).then((answer) => apply(session, answer));
}

/** The refusal to give, or undefined. */
function apply(session: Session, answer: Answer): Reply | undefined {
  const { transaction } = session;
  if (answer.kind === "refuse") {
    logNotice(session, "milter-reject", replyText(answer.reply));
    return answer.reply;
  }
  if (answer.kind === "discard" && transaction) {
    logNotice(session, "milter-discard", "milter triggers DISCARD action");
    transaction.discard = true;
  } else if (answer.kind === "hold" && transaction) {
    logNotice(session, "milter-hold", "milter triggers HOLD action");
    transaction.hold = true;
  }
  return undefined;
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

/** The name that the address has leads elsewhere. */
function isForged({ name, reverseName }: Session["client"]): boolean {
  return name.toLowerCase() !== reverseName.toLowerCase();
}

/** MILTER_README "Sendmail macro emulation". */
function macroOf(session: Session, name: string): string | undefined {
  const { client, server, settings, options, user, transaction } = session;
  const { milterSender: mail, milterRecipient: rcpt } = session;
  const peer = session.tls?.peer;
  switch (name) {
    case "j":
      return settings.hostname;
    case "i":
      return transaction?.queueId;
    case "v":
      return options.params.get("milter_macro_v");
    case "_":
      return `${client.reverseName} [${client.address}]${isForged(client) ? " (may be forged)" : ""}`;
    case "daemon_name":
      return options.params.get("milter_macro_daemon_name");
    case "daemon_addr":
      return server.address;
    case "daemon_port":
      return String(server.port);
    case "client_name":
      return client.name;
    case "client_ptr":
      return client.reverseName;
    case "client_addr":
      return client.address;
    case "client_port":
      return String(client.port);
    case "tls_version":
      return session.tls?.protocol;
    case "cipher":
      return session.tls?.cipher;
    case "cipher_bits":
      return session.tls && String(session.tls.bits);
    case "cert_subject":
      return peer?.subject;
    case "cert_issuer":
      return peer?.issuer;
    case "auth_type":
      return user?.method;
    case "auth_authen":
      return user?.username;
    case "auth_author":
      return transaction?.start.saslSender;
    case "mail_addr":
      return mail?.address;
    case "mail_host":
      return mail?.route?.nexthop;
    case "mail_mailer":
      return mail?.route?.transport;
    case "rcpt_addr":
      return rcpt?.address;
    case "rcpt_host":
      return rcpt?.route?.nexthop;
    case "rcpt_mailer":
      return rcpt?.route?.transport;
    default:
      return undefined;
  }
}
