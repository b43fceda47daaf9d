/** smtp/transaction.ts: one message over one session (RFC 5321 §3.3, pipelined as RFC 2920 allows; LMTP: RFC 2033 §4.2):
 *  MAIL, RCPT, DATA, content; a verdict for each recipient, whatever the peer does and wherever it stops. */
import { type Address, formatAddress } from "../mail/address.ts";
import type { DeliveryRecipient, DeliveryRequest, MessageContent } from "../mail/delivery.ts";
import { ConnectionError } from "../net/client-connection.ts";
import { writeChunks } from "./chunk-writer.ts";
import { ContentCheckError } from "./content-checks.ts";
import { type ContentForm, contentForm, unfitContent } from "./content-form.ts";
import { writeContent } from "./content-writer.ts";
import { mailParameters, rcptParameters, successAction } from "./dsn.ts";
import { brokenVerdict, ownVerdict, refusedVerdict, sentVerdict, softened, type Verdict } from "./outcome.ts";
import { type PeerReply, replyClass } from "./reply.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./settings.ts";
import { requireTlsParameter } from "./tls-demand.ts";
import { type Wishes, wishesFor, withPriority } from "./wishes.ts";
import { xforwardCommands } from "./xforward.ts";

export interface TransactionResult {
  /** By recipient id; one for each recipient, except when `stale`. */
  readonly verdicts: ReadonlyMap<number, Verdict>;
  /** The session may carry another delivery. */
  readonly reusable: boolean;
  /** A reused session turned out to be dead before it answered anything: try another, no harm done. */
  readonly stale: boolean;
  /** No other host may get the message now: the peer may have taken it without our knowing, or a table of ours failed. */
  readonly uncertain: boolean;
}

export interface TransmitOptions {
  readonly recipients: readonly DeliveryRecipient[];
  readonly settings: Settings;
  /** Milliseconds that only grow. */
  readonly now: () => number;
  /** Epoch milliseconds, of this moment. */
  readonly wallMs: number;
  /** What is sent instead of the request's content; read once. Its stream may throw ContentCheckError. */
  readonly checked?: MessageContent | undefined;
}

const END_PHASE = "sending end of data -- message may be sent more than once";

/** Transmits to `recipients`, a part of the request's. Never rejects for anything the peer does. */
export async function transmit(
  session: Session,
  request: DeliveryRequest,
  options: TransmitOptions,
): Promise<TransactionResult> {
  const transaction = new Transaction(session, request, options);
  return transaction.run();
}

class Transaction {
  readonly #session: Session;
  readonly #request: DeliveryRequest;
  readonly #settings: Settings;
  readonly #now: () => number;
  readonly #recipients: readonly DeliveryRecipient[];
  readonly #verdicts = new Map<number, Verdict>();
  readonly #form: ContentForm;
  /** What is sent is what was queued. */
  readonly #unchanged: boolean;
  readonly #pipelined: boolean;
  readonly #wishes: Wishes;
  #closing = false;
  /** The peer has said something about this message. */
  #answered = false;

  constructor(session: Session, request: DeliveryRequest, options: TransmitOptions) {
    this.#session = session;
    this.#request = request;
    this.#settings = options.settings;
    this.#now = options.now;
    this.#recipients = options.recipients;
    this.#pipelined = session.features.has("PIPELINING");
    const { features, host } = session;
    const { protocol } = options.settings;
    this.#wishes = wishesFor(request.envelope, { features, host, protocol, nowMs: options.wallMs });
    const content = options.checked ?? request.content;
    const tunnelled = options.settings.priorityTunnel && !features.has("MT-PRIORITY");
    const sent = tunnelled ? withPriority(content, request.envelope) : content;
    this.#unchanged = sent === request.content;
    const { conversion: limits } = options.settings;
    const changed = () => session.note(`converted: ${host} does not take the content as it is`);
    this.#form = contentForm(sent, request.envelope, { features, limits, changed });
  }

  async run(): Promise<TransactionResult> {
    const session = this.#session;
    try {
      const unfit = await this.#unfit();
      if (unfit) this.#settleAll(unfit);
      else await this.#converse();
      return this.#result({ reusable: !this.#closing, stale: false });
    } catch (cause) {
      session.connection.destroy();
      if (cause instanceof ContentCheckError) {
        this.#settleAll(ownVerdict("4.3.0", `local data error while talking to ${session.host}`));
        return { ...this.#result({ reusable: false, stale: false }), uncertain: true };
      }
      if (!(cause instanceof ConnectionError)) throw cause;
      const stale = session.uses > 1 && !this.#answered && cause.kind === "lost";
      if (!stale) this.#settleAll(brokenVerdict(session.host, cause, session.phase));
      return this.#result({ reusable: false, stale });
    }
  }

  #result(end: { readonly reusable: boolean; readonly stale: boolean }): TransactionResult {
    const uncertain = !end.reusable && this.#session.phase === END_PHASE;
    return { verdicts: this.#verdicts, uncertain, ...end };
  }

  /** Why this server can never get this message, found before a word is said. */
  async #unfit(): Promise<Verdict | undefined> {
    const { features, host } = this.#session;
    const { envelope, content } = this.#request;
    const limit = Number(features.get("SIZE") ?? 0);
    if (limit > 0 && content.sizeBytes > limit) {
      return ownVerdict("5.3.4", `message size ${content.sizeBytes} exceeds size limit ${limit} of server ${host}`);
    }
    const addresses = [envelope.sender, ...this.#recipients.map(({ address }) => address)];
    if (addresses.some(hasControls)) return ownVerdict("5.1.3", "bad address syntax");
    const { conversion: limits } = this.#settings;
    const unfit = this.#wishes.unfit ?? (await unfitContent(this.#form, content, { host, limits }));
    if (unfit) return unfit;
    if (features.has("SMTPUTF8")) return undefined;
    const needed = addresses.some(isUtf8) || (envelope.smtputf8 && (await hasUtf8Header(content)));
    return needed ? ownVerdict("5.6.7", `SMTPUTF8 is required, but was not offered by host ${host}`) : undefined;
  }

  async #converse(): Promise<void> {
    const session = this.#session;
    const { timeouts } = this.#settings;
    await this.#reset();
    if (this.#settings.sendXforward) await this.#sendOrigin();
    if (this.#pipelined) await this.#sendEnvelope();
    session.needsReset = true;
    const mail = await this.#ask(this.#mailCommand(), "sending MAIL FROM", timeouts.mailMs);
    // A kept session whose time was over at the peer's end: as if it were closed already.
    if (mail.code === 421 && session.uses > 1) throw new ConnectionError("lost", mail.text);
    this.#answered = true;
    if (replyClass(mail) !== 2) this.#refuseAll(mail, "MAIL FROM command");
    if (replyClass(mail) !== 2 && !this.#pipelined) return;
    const accepted = await this.#askRecipients();
    if (this.#request.probe) return this.#endProbe(accepted);
    const chunked = this.#form.command === "BDAT";
    if (accepted.length === 0 && (chunked || !this.#pipelined)) return;
    if (chunked) return this.#sendContent(accepted);
    const data = await this.#ask("DATA", "sending DATA command", timeouts.dataInitMs);
    if (replyClass(data) !== 3) return this.#refuseData(data);
    if (accepted.length === 0) await this.#sendNothing();
    else await this.#sendContent(accepted);
  }

  /** RSET if the last transaction on this session ended early. */
  async #reset(): Promise<void> {
    const session = this.#session;
    if (!session.needsReset) return;
    const reply = await session.command("RSET", "sending RSET", this.#settings.timeouts.rsetMs);
    if (replyClass(reply) !== 2) throw new ConnectionError("lost", "RSET refused");
  }

  /** A hop that takes no XFORWARD still gets the mail, as from Postfix. */
  async #sendOrigin(): Promise<void> {
    const session = this.#session;
    for (const command of xforwardCommands(session.features.get("XFORWARD"), this.#request.envelope)) {
      const reply = await session.command(command, "sending XFORWARD", this.#settings.timeouts.xforwardMs);
      if (reply.code === 421) throw new ConnectionError("lost", reply.text);
    }
  }

  /** The whole envelope in one write; the replies are read one by one afterwards. */
  async #sendEnvelope(): Promise<void> {
    this.#session.phase = "sending MAIL FROM";
    const lines = [
      this.#mailCommand(),
      ...this.#recipients.map((recipient) => this.#rcptCommand(recipient)),
      ...(this.#request.probe || this.#form.command === "BDAT" ? [] : ["DATA"]),
      "",
    ];
    const slow = this.#session.connection.write(lines.join("\r\n"), this.#settings.timeouts.mailMs);
    if (slow) await slow;
  }

  /** Sends the command unless it is on its way already, and reads its reply. */
  async #ask(command: string, phase: string, timeoutMs: number): Promise<PeerReply> {
    const session = this.#session;
    const reply = this.#pipelined
      ? await session.reply(phase, timeoutMs)
      : await session.command(command, phase, timeoutMs);
    if (reply.code === 421) this.#closing = true; // RFC 5321 §3.8: the server will close
    return reply;
  }

  /** The recipients that the peer takes. */
  async #askRecipients(): Promise<readonly DeliveryRecipient[]> {
    const accepted: DeliveryRecipient[] = [];
    const { protocol, probeTarget, timeouts } = this.#settings;
    for (const recipient of this.#recipients) {
      const reply = await this.#ask(this.#rcptCommand(recipient), "sending RCPT TO", timeouts.rcptMs);
      if (this.#verdicts.has(recipient.id)) continue; // MAIL was refused
      if (replyClass(reply) === 2 && this.#request.probe && probeTarget === "rcpt")
        this.#verdicts.set(recipient.id, sentVerdict(reply, successAction(this.#session.features, protocol)));
      else if (replyClass(reply) === 2) accepted.push(recipient);
      else this.#verdicts.set(recipient.id, this.#refusedRecipient(reply, accepted.length));
    }
    return accepted;
  }

  /** What smtp_address_verify_target = data asks besides. Behind its 354 only the end of the session stops a message. */
  async #endProbe(accepted: readonly DeliveryRecipient[]): Promise<void> {
    if (accepted.length === 0) return;
    const session = this.#session;
    const data = await session.command("DATA", "sending DATA command", this.#settings.timeouts.dataInitMs);
    if (replyClass(data) !== 3) return this.#refuseData(data);
    this.#closing = true;
    this.#settleAll(sentVerdict(data, undefined));
  }

  /** A server that says 354 without any recipient gets an empty message, which it must refuse (RFC 2920 §3.1). */
  async #sendNothing(): Promise<void> {
    await this.#session.command(".", "sending end of data", this.#settings.timeouts.dataDoneMs);
  }

  async #sendContent(accepted: readonly DeliveryRecipient[]): Promise<void> {
    const session = this.#session;
    const { protocol, timeouts } = this.#settings;
    session.phase = "sending message body";
    const command = this.#form.command === "BDAT" ? "BDAT command" : "end of DATA command";
    let cut: ConnectionError | undefined;
    try {
      const refused = await this.#writeContent();
      if (refused) return this.#refuseAll(refused, command);
    } catch (cause) {
      // A server that refuses in the middle and closes has often said why.
      if (!(cause instanceof ConnectionError && session.connection.hasLine)) throw cause;
      if (session.phase !== END_PHASE) cut = cause;
    }
    const { phase } = session;
    const last = accepted.length - 1;
    let reply: PeerReply | undefined;
    for (const [i, recipient] of accepted.entries()) {
      if (protocol === "lmtp" || !reply) reply = await session.reply(phase, timeouts.dataDoneMs);
      if (reply.code === 421) this.#closing = true;
      const taken = replyClass(reply) === 2;
      if (taken && cut) throw cut; // nobody can have taken what he has not got to its end
      this.#verdicts.set(
        recipient.id,
        taken
          ? {
              ...sentVerdict(reply, successAction(session.features, protocol)),
              ...(this.#wishes.reportRelay && { reportRelay: true }),
            }
          : this.#refused(reply, command),
      );
      if (i === last) session.needsReset = false;
    }
  }

  /** The reply, if it refuses the content before its end. */
  async #writeContent(): Promise<PeerReply | undefined> {
    const session = this.#session;
    const { connection } = session;
    const { lineLimit, timeouts } = this.#settings;
    const { command, content } = this.#form;
    const ending = () => {
      session.phase = END_PHASE;
    };
    const options = { settings: this.#settings, now: this.#now, ending };
    if (command === "BDAT") {
      const reply = () => session.reply("sending message body", timeouts.dataDoneMs);
      return writeChunks(connection, content, { ...options, exact: this.#unchanged, reply });
    }
    const { broken } = await writeContent(connection, content, options);
    if (broken) session.note(`breaking line > ${lineLimit} bytes with <CR><LF>SPACE`);
    return undefined;
  }

  #mailCommand(): string {
    const { features } = this.#session;
    const { envelope } = this.#request;
    const { body, sizeBytes } = this.#form;
    const size = features.has("SIZE") ? ` SIZE=${sizeBytes}` : "";
    const utf8 = features.has("SMTPUTF8") && envelope.smtputf8 ? " SMTPUTF8" : "";
    const tls = requireTlsParameter(this.#session, envelope);
    const dsn = mailParameters(features, envelope);
    return `MAIL FROM:<${this.#path(envelope.sender)}>${size}${body}${utf8}${tls}${dsn}${this.#wishes.parameters}`;
  }

  #rcptCommand(recipient: DeliveryRecipient): string {
    const parameters = rcptParameters(this.#session.features, recipient, this.#wishes);
    return `RCPT TO:<${this.#path(recipient.address)}>${parameters}`;
  }

  /** Old servers say 552 for "too many recipients" and mean 452 (RFC 5321 §4.5.3.1.10). Without a recipient that was taken,
   *  or with an enhanced code of its own, 552 is what it says: the mailbox is full. */
  #refusedRecipient(reply: PeerReply, taken: number): Verdict {
    const verdict = this.#refused(reply, "RCPT TO command");
    const tooMany = reply.code === 552 && taken > 0 && (reply.dsn === undefined || reply.dsn === "5.5.3");
    return tooMany ? softened(verdict) : verdict;
  }

  /** smtp_quote_rfc821_envelope. */
  #path(address: Address): string {
    return this.#settings.quoteEnvelope ? formatAddress(address) : address;
  }

  #refused(reply: PeerReply, command: string): Verdict {
    return refusedVerdict(this.#session.host, reply, command);
  }

  /** 2xx to DATA is as good as no: the content was not asked for. */
  #refuseData(reply: PeerReply): void {
    const verdict = this.#refused(reply, "DATA command");
    this.#settleAll(replyClass(reply) === 2 ? { ...verdict, text: `Protocol error: ${verdict.text}` } : verdict);
  }

  #refuseAll(reply: PeerReply, command: string): void {
    this.#settleAll(this.#refused(reply, command));
  }

  /** For all recipients that have no verdict yet. */
  #settleAll(verdict: Verdict): void {
    for (const { id } of this.#recipients) {
      if (!this.#verdicts.has(id)) this.#verdicts.set(id, verdict);
    }
  }
}

/** Controls in an address would become commands of their own. */
function hasControls(address: Address): boolean {
  return /[\x00-\x1f\x7f]/.test(address);
}

function isUtf8(address: Address): boolean {
  return /[^\x00-\x7f]/.test(address);
}

/** Whether the header block holds anything but ASCII. */
async function hasUtf8Header(content: MessageContent): Promise<boolean> {
  let tail = Buffer.alloc(0);
  for await (const chunk of content.chunks()) {
    const bytes = Buffer.concat([tail, chunk]);
    const end = bytes.indexOf("\r\n\r\n");
    const header = end < 0 ? bytes : bytes.subarray(0, end);
    if (header.some((byte) => byte > 0x7f)) return true;
    if (end >= 0) return false;
    tail = bytes.subarray(-3);
  }
  return false;
}
