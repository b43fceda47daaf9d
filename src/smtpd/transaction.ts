/** smtpd/transaction.ts: one mail transaction, from an accepted MAIL to the end of DATA, RSET, EHLO or the session. */
import type { Effect } from "../access/access.ts";
import { type Address, asAddress } from "../mail/address.ts";
import { formatUtcTime } from "../mail/date.ts";
import { type MessageDsn, withDelay } from "../mail/dsn.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import type { MessageAuthentication } from "../mail/message-authentication.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { FilteredMail } from "../proxy/filter.ts";
import type { Submission } from "./submission-parameters.ts";

export interface TransactionStart {
  readonly sender: Address;
  readonly smtputf8: boolean;
  readonly body: Envelope["body"];
  readonly requireTls?: boolean | undefined;
  /** SIZE= as declared. */
  readonly declaredSize: number | undefined;
  /** AUTH= of MAIL, decoded; undefined for none and for `<>`. */
  readonly saslSender: string | undefined;
  readonly dsn?: MessageDsn | undefined;
  /** HOLDFOR=, BY=, MT-PRIORITY= as asked. */
  readonly submission?: Submission | undefined;
}

export class Transaction {
  readonly start: TransactionStart;
  readonly #recipients: Recipient[] = [];
  readonly #added: Address[] = [];
  readonly #prepend: string[] = [];
  #redirect: Address | undefined;
  #filter: string | undefined;
  hold = false;
  discard = false;
  /** RCPT commands beyond the recipient limit. */
  overshoot = 0;
  /** What policy servers know the message by; set when first asked for. */
  instance: string | undefined;
  /** Set with the first accepted recipient; never where a before-queue filter takes the message. */
  queueId: QueueId | undefined;
  /** Begun when first asked for. */
  authentication: MessageAuthentication | undefined;
  /** As the client gave it, for a before-queue filter. */
  mailCommand = "";
  /** The transaction with the before-queue filter, from the first recipient on. */
  filtered: FilteredMail | undefined;
  /** MT-PRIORITY as granted. */
  priority: number | undefined;
  /** Ends what is reserved for a message that is to be held. */
  endOfReservation: (() => void) | undefined;

  constructor(start: TransactionStart) {
    this.start = start;
    this.priority = start.submission?.priority;
  }

  /** `, hold_until=…, deliver_by=…, mt_priority=…`, as far as asked; for the log. */
  describeSubmission(): string {
    const { futureRelease, deliverBy } = this.start.submission ?? {};
    const hold = futureRelease && `, hold_until=${formatUtcTime(futureRelease.untilMs)}`;
    const by = deliverBy && `, deliver_by=${formatUtcTime(deliverBy.untilMs)};${deliverBy.mode}`;
    const priority = this.priority === undefined ? "" : `, mt_priority=${this.priority}`;
    return `${hold ?? ""}${by ?? ""}${priority}`;
  }

  get sender(): Address {
    return this.start.sender;
  }

  get recipientCount(): number {
    return this.#recipients.length;
  }

  /** The one recipient, if there is exactly one. */
  get onlyRecipient(): Recipient | undefined {
    return this.#recipients.length === 1 ? this.#recipients[0] : undefined;
  }

  /** The one that came first. */
  get firstRecipient(): Recipient | undefined {
    return this.#recipients[0];
  }

  get prepend(): readonly string[] {
    return this.#prepend;
  }

  /** The last FILTER: transport:nexthop. */
  get filter(): string | undefined {
    return this.#filter;
  }

  /** Who said BY=…;N wants to know of a delay (RFC 2852 §4.1.4). */
  addRecipient(recipient: Recipient): void {
    const notified = this.start.submission?.deliverBy?.mode === "N";
    this.#recipients.push(notified ? { ...recipient, dsn: withDelay(recipient.dsn) } : recipient);
  }

  /** Effects hold for the whole message, whichever recipient caused them (access(5)). */
  apply(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "hold") this.hold = true;
      else if (effect.kind === "discard") this.discard = true;
      else if (effect.kind === "prepend") this.#prepend.push(effect.value);
      else if (effect.kind === "redirect") this.#redirect = asAddress(effect.value);
      else if (effect.kind === "bcc") this.#added.push(asAddress(effect.value));
      else if (effect.kind === "filter") this.#filter = effect.value;
    }
  }

  /** Recipients that the client named and that were accepted. */
  get accepted(): readonly Recipient[] {
    return this.#recipients;
  }

  /** REDIRECT: recipients() gives its address only. */
  get redirected(): boolean {
    return this.#redirect !== undefined;
  }

  /** Recipients to queue: BCC adds, once each, and nobody hears of them; REDIRECT replaces all of them, in the name of the first. */
  recipients(rewrite: (address: Address) => Address): readonly Recipient[] {
    const [first] = this.#recipients;
    if (this.#redirect !== undefined && first) {
      return [{ address: rewrite(this.#redirect), original: first.original }];
    }
    const all = [...this.#recipients];
    const known = new Set(this.#added.length > 0 ? all.map(({ address }) => address.toLowerCase()) : []);
    for (const added of this.#added) {
      const address = rewrite(added);
      if (!known.has(address.toLowerCase())) all.push({ address, original: address, dsn: { notify: ["NEVER"] } });
      known.add(address.toLowerCase());
    }
    return all;
  }
}
