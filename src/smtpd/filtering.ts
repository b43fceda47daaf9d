/** smtpd/filtering.ts: a mail transaction whose message goes to a before-queue filter instead of the queue
 *  (smtpd_proxy_filter, SMTPD_PROXY_README). The conversation with the filter is proxy/'s. */
import type { CleanupResult, IncomingMessage } from "../cleanup/cleanup.ts";
import type { ForwardedOrigin } from "../mail/envelope.ts";
import { type Reply, replyText } from "../mail/reply.ts";
import type { BeforeQueueFilter, FilteredMail } from "../proxy/filter.ts";
import { replyFields, sessionFields } from "./log-fields.ts";
import type { Session } from "./session.ts";
import type { Transaction } from "./transaction.ts";

/** Tells the filter of a recipient that the restrictions have let through; the refusal to give, or undefined. */
export async function passRecipient(
  session: Session,
  transaction: Transaction,
  { filter, command }: { readonly filter: BeforeQueueFilter; readonly command: string },
): Promise<Reply | undefined> {
  if (transaction.filtered === undefined) {
    const { log } = session;
    const opened = await filter.open({ mail: transaction.mailCommand, origin: originOf(session), log });
    if ("refused" in opened) return opened.refused;
    transaction.filtered = opened.mail;
    session.logClient();
  }
  const { accepted, reply } = await transaction.filtered.recipient(command);
  return accepted ? undefined : reply;
}

/** A filter behind a filter hears of the first client. */
function originOf(session: Session): ForwardedOrigin {
  const { client, helo, protocol, user, server, forwarded } = session;
  // As with local_header_rewrite_clients = permit_inet_interfaces, its default.
  const source = user !== undefined || client.address === server.address ? "local" : "remote";
  if (forwarded) return { source, ...forwarded };
  return { name: client.name, address: client.address, port: client.port, helo, protocol, source };
}

/** The content on its way to the filter. `head`: header fields in front of it, each with its line end. */
export class FilteredMessage implements IncomingMessage {
  readonly #mail: FilteredMail;
  #head: Buffer | undefined;
  sizeBytes = 0;
  /** Only its end tells. */
  readonly refused = false;

  constructor(mail: FilteredMail, head: Buffer) {
    this.#mail = mail;
    this.#head = head;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.sizeBytes += chunk.length;
    const first = this.#writeHead();
    return first ? first.then(() => this.#mail.write(chunk)) : this.#mail.write(chunk);
  }

  async finish(): Promise<CleanupResult> {
    const first = this.#writeHead();
    if (first) await first;
    const { accepted, reply } = await this.#mail.end();
    return accepted ? { kind: "queued", reply } : { kind: "refused", reply, log: replyText(reply) };
  }

  async abort(): Promise<void> {
    this.#mail.close();
  }

  #writeHead(): void | Promise<void> {
    const head = this.#head;
    this.#head = undefined;
    return head && head.length > 0 ? this.#mail.write(head) : undefined;
  }
}

/** `proxy-accept: END-OF-MESSAGE: 250 …; from=<s> to=<first recipient> proto=ESMTP helo=<h>`. */
export function logFilterAnswer(session: Session, result: CleanupResult): void {
  if (result.reply === undefined) return;
  const action = result.kind === "queued" ? "proxy-accept" : "proxy-reject";
  const { code, dsn, lines } = result.reply;
  const last = lines.length - 1;
  const own = dsn === undefined ? "" : `${dsn} `;
  // Postfix makes the line ends within an answer printable.
  const text = lines.map((line, i) => `${code}${i === last ? " " : "-"}${own}${line}`).join("??");
  session.recipient = session.transaction?.accepted[0]?.original;
  session.log.info(`${action}: ${session.where}: ${session.printable(text)};${session.describe()}`, () => ({
    ...sessionFields(session, action),
    ...replyFields(text),
  }));
}
