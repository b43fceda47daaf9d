/** smtpd/log-fields.ts: what smtpd's log lines say, as fields of JSON. Names are Postfix's where it has one, and are
 *  documented in docs/log-format.md. */
import type { LogFields } from "../log/log.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import type { ClientEndpoint, SaslIdentity } from "../mail/client.ts";
import { formatUtcTime } from "../mail/date.ts";
import { printableAscii } from "../mail/printable.ts";
import type { Transaction } from "./transaction.ts";

/** What is told of a session. */
interface Told {
  readonly client: ClientEndpoint;
  readonly transaction: Transaction | undefined;
  readonly recipient: Address | undefined;
  readonly where: string;
  readonly protocol: string;
  readonly helo: string | undefined;
  readonly user: SaslIdentity | undefined;
  printable(text: string): string;
}

/** `event`, and who the client is. */
export function clientFields({ client }: Pick<Told, "client">, event: string): LogFields {
  return { event, client_name: printableAscii(client.name), client_address: client.address };
}

/** The whole state of the session: as describe() has it in text. */
export function sessionFields(session: Told, event: string): LogFields {
  const start = session.transaction?.start;
  return {
    ...clientFields(session, event),
    stage: session.where,
    from: shown(session, start?.sender),
    to: shown(session, session.recipient),
    proto: session.protocol,
    helo: session.helo === undefined ? undefined : session.printable(session.helo),
    ...loginFields(session),
  };
}

/** Who logged in; no member if nobody did. */
export function loginFields(session: Told): LogFields {
  const saslSender = session.transaction?.start.saslSender;
  return {
    sasl_method: session.user && session.printable(session.user.method),
    sasl_username: session.user && session.printable(session.user.username),
    sasl_sender: saslSender === undefined ? undefined : session.printable(saslSender),
  };
}

/** What MAIL asked of the queue; no member for what it did not. */
export function submissionFields({ transaction }: Told): LogFields {
  const { futureRelease, deliverBy } = transaction?.start.submission ?? {};
  return {
    hold_until: futureRelease && formatUtcTime(futureRelease.untilMs),
    deliver_by: deliverBy && formatUtcTime(deliverBy.untilMs),
    mt_priority: transaction?.priority,
  };
}

/** A reply as text, `554 5.7.1 Denied`, in its parts. */
export function replyFields(text: string): LogFields {
  const [, code, dsn, said] = /^(\d{3})(?: ([245]\.\d{1,3}\.\d{1,3}))?(?: (.*))?$/s.exec(text) ?? [];
  return code === undefined ? { reply: text } : { code: Number(code), dsn, reply: said ?? "" };
}

function shown(session: Told, address: Address | undefined): string | undefined {
  return address === undefined ? undefined : session.printable(formatAddress(address));
}
