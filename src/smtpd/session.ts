/** smtpd/session.ts: the state of one client session and the few things that commands do with it: read a line, send a
 *  reply, ask the access policy. The order of a session is dialogue.ts; each command is a file in commands/. */
import { isUtf8 } from "node:buffer";
import type { AccessSession, Facts } from "../access/access.ts";
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Log } from "../log/log.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import type { ClientEndpoint, SaslIdentity, ServerEndpoint, TlsSession } from "../mail/client.ts";
import type { ForwardedOrigin } from "../mail/envelope.ts";
import type { MessageAuthentication } from "../mail/message-authentication.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import { formatReply, type Reply } from "../mail/reply.ts";
import type { MilterSession } from "../milter/milters.ts";
import type { Connection } from "../net/connection.ts";
import type { ServerTls } from "../net/tls-context.ts";
import type { Route } from "../rewrite/resolve.ts";
import type { Chunks } from "./chunk-reader.ts";
import { ClientLimits } from "./client-limits.ts";
import type { ListAnswer } from "./client-matcher.ts";
import type { DiscardedKeywords } from "./discarded-keywords.ts";
import type { Explanation } from "./explanation.ts";
import { clientFields, loginFields, submissionFields } from "./log-fields.ts";
import type { SmtpdOptions } from "./options.ts";
import { unnamedClient } from "./peer-name.ts";
import type { Lost } from "./result.ts";
import type { SmtpdSettings } from "./settings.ts";
import { softened } from "./soft-bounce.ts";
import { Tally } from "./tally.ts";
import type { Transaction } from "./transaction.ts";
import { Transcript } from "./transcript.ts";

/** A line of the client, without its end. */
export interface ClientLine {
  readonly kind: "line";
  /** Decoded: UTF-8 if valid, else one character per byte. */
  readonly text: string;
  readonly validUtf8: boolean;
  readonly bareLf: boolean;
  /** Longer than the splitter's limit; the rest is gone. */
  readonly truncated: boolean;
}

/** Where mail for an address goes, for Milters' {mail_host} and the like. */
export interface MilterRoute {
  readonly address: Address;
  readonly route: Route | undefined;
}

/** What Milters are told of a recipient: where its mail goes, or why it is refused. */
export type MilterRecipient = MilterRoute | { readonly refusal: Reply };

/** Why there is no further line. */
interface NoLine {
  readonly kind: "lost";
  readonly why: Lost;
}

export class Session {
  readonly options: SmtpdOptions;
  readonly settings: SmtpdSettings;
  readonly connection: Connection;
  readonly log: Log;
  /** A new one when XCLIENT makes the client another. */
  access: AccessSession;
  server: ServerEndpoint;
  readonly tally = new Tally();
  /** undefined: nobody is told. */
  readonly transcript: Transcript | undefined;
  /** What this client may do, and how often. */
  readonly limits: ClientLimits;
  client: ClientEndpoint;
  /** Whether the client is in debug_peer_list. */
  debug = false;
  /** Bare newlines of this client are only normalized. */
  bareNewlineExcluded = false;
  sawBareLf = false;
  /** EHLO keywords that this client may not use; undefined: nobody knows. */
  discarded: DiscardedKeywords | undefined;
  /** Whether the client may say that it is another; undefined: nobody knows now. */
  xclientAllowed: ListAnswer = false;
  /** Whether it may say where mail comes from. */
  xforwardAllowed: ListAnswer = false;
  /** Whether AUTH is not announced to it. */
  saslExcepted: ListAnswer = false;
  /** Its mail is not verified, and its word about that of others is believed. */
  authenticationTrusted = false;
  /** Whether it may use what else only a login may: FUTURERELEASE and its like. */
  extensionClient: ListAnswer = false;
  /** What it said, until the end of the next transaction. */
  forwarded: ForwardedOrigin | undefined;
  helo: string | undefined;
  protocol: "SMTP" | "ESMTP" = "SMTP";
  user: SaslIdentity | undefined;
  transaction: Transaction | undefined;
  /** A message whose content comes by BDAT; "failed": its further chunks are read and dropped. */
  chunks: Chunks | "failed" | undefined;
  /** undefined: the service has no Milters. */
  milters: MilterSession | undefined;
  milterSender: MilterRoute | undefined;
  /** The one in question, else the first of the message. */
  milterRecipient: MilterRecipient | undefined;
  /** The recipient under evaluation, for log lines. */
  recipient: Address | undefined;
  /** Protocol state for log lines: the last command. */
  where = "CONNECT";
  errors = 0;
  /** MAIL commands so far. */
  mails = 0;
  /** Of accepted recipients, where their number is limited. */
  readonly recipientDomains = new Set<string>();
  junk = 0;
  earlyTalker = false;
  /** HANGUP: end now, without a reply. */
  hangup = false;
  /** The client restrictions refused it: only QUIT is served. */
  denied = false;
  /** The server is being stopped: end between two messages. */
  draining = false;
  /** … and now also within one. */
  mustEnd = false;
  /** Called when the client's next command shows that it has read the last reply. */
  replyRead: (() => void) | undefined;
  /** What the next reply answers, if somebody wants to know. */
  unanswered: Explanation | undefined;
  readonly #assumedTls: TlsSession | undefined;
  /** `peer` of that client: it stands in nearly each log line. */
  #named: { readonly client: ClientEndpoint; readonly peer: string } | undefined;
  #explained = 0;
  #instances = 0;

  constructor(parts: {
    readonly options: SmtpdOptions;
    readonly settings: SmtpdSettings;
    readonly connection: Connection;
    readonly log: Log;
    /** As if it had been negotiated: for sessions without a network. */
    readonly tls?: TlsSession | undefined;
  }) {
    this.options = parts.options;
    this.settings = parts.settings;
    this.connection = parts.connection;
    this.log = parts.log;
    this.discarded = parts.settings.discarded;
    if (parts.options.notices !== undefined) this.transcript = new Transcript(parts.options.notices);
    this.#assumedTls = parts.tls;
    this.access = this.#newAccess();
    this.client = unnamedClient(parts.connection.peer);
    this.server = parts.connection.local;
    this.limits = new ClientLimits({
      limits: parts.settings.limits,
      counting: parts.options.counting,
      serviceName: parts.options.serviceName,
      hostname: parts.settings.hostname,
      log: parts.log,
    });
  }

  /** Whether the client may use what this EHLO keyword announces, as far as smtpd_discard_ehlo_keywords go. */
  keeps(keyword: string): boolean {
    return !(this.discarded ?? this.settings.discarded).keywords.has(keyword);
  }

  get tls(): TlsSession | undefined {
    return this.#assumedTls ?? this.connection.tls;
  }

  /** `name[address]`, with `:port` where that is logged. */
  get peer(): string {
    const { client } = this;
    if (this.#named?.client !== client) {
      this.#named = { client, peer: `${printableAscii(client.name)}[${client.address}]${this.#port(client.port)}` };
    }
    return this.#named.peer;
  }

  /** What log lines begin with. */
  get logId(): string {
    return this.transaction?.queueId ?? "NOQUEUE";
  }

  /** The TLS context if STARTTLS may be offered at all. */
  get tlsContext(): ServerTls | undefined {
    return this.settings.tlsLevel === "none" ? undefined : this.options.tls;
  }

  /** The next line, or why there is none. */
  readLine(timeoutMs = this.settings.timeoutMs): Awaitable<ClientLine | NoLine> {
    return this.#takeLine() ?? this.#waitForLine(timeoutMs);
  }

  #takeLine(): ClientLine | undefined {
    const line = this.connection.takeLine();
    if (line === undefined) return undefined;
    if (this.replyRead !== undefined) {
      this.replyRead();
      this.replyRead = undefined;
    }
    if (line.bareLf) this.sawBareLf = true;
    const { text, validUtf8 } = this.#decode(line.text);
    return { kind: "line", text, validUtf8, bareLf: line.bareLf, truncated: line.truncated };
  }

  async #waitForLine(timeoutMs: number): Promise<ClientLine | NoLine> {
    const until = this.settings.perRequestDeadline ? this.options.clock.monotonic() + timeoutMs : undefined;
    for (;;) {
      const left = until === undefined ? timeoutMs : Math.max(1, until - this.options.clock.monotonic());
      const result = await this.connection.wait(left);
      if (result === "interrupted" && this.transaction !== undefined && !this.mustEnd) {
        this.connection.clearInterrupt();
      } else if (result !== "ready") return { kind: "lost", why: result };
      const line = this.#takeLine();
      if (line !== undefined) return line;
    }
  }

  /** Gathers a reply; slows clients down that make many errors. */
  respond(reply: Reply): Awaitable<void> {
    const { errorSleepMs, softErrorLimit } = this.settings;
    if (this.errors < softErrorLimit || errorSleepMs <= 0) return this.#answer(reply);
    this.connection.flush();
    return this.options.clock.sleep(errorSleepMs).then(() => this.#answer(reply));
  }

  #answer(reply: Reply): Awaitable<void> {
    const { rejectFooter } = this.options;
    if (rejectFooter === undefined) return this.#emit(reply);
    return whenKnown(rejectFooter.add(reply, this.#footerFacts), (whole) => this.#emit(whole));
  }

  /** Gathers a reply at once. */
  send(reply: Reply): void {
    this.#emit(this.options.rejectFooter?.addNow(reply, this.#footerFacts) ?? reply);
  }

  readonly #footerFacts = () =>
    this.facts(this.where, this.recipient === undefined ? {} : { recipient: this.recipient });

  #emit(reply: Reply): void {
    const answer = this.settings.softBounce ? softened(reply) : reply;
    const text = formatReply(answer);
    this.transcript?.said(answer, text);
    if (this.unanswered !== undefined) {
      this.unanswered.reply = text.trimEnd().split("\r\n");
      this.unanswered = undefined;
    }
    if (this.debug) for (const line of text.trimEnd().split("\r\n")) this.log.info(`> ${this.peer}: ${line}`);
    this.connection.write(text);
  }

  /** A line of the client for the debug log and the transcript; secrets have been replaced by the caller. */
  logInput(text: string): void {
    this.transcript?.heard(text);
    if (this.debug) this.log.info(`< ${this.peer}: ${this.printable(text)}`);
  }

  /** Gives the transaction its queue id, as Postfix does when it opens the queue file: log lines name it from now on. */
  openQueueFile(): void {
    const { transaction } = this;
    if (transaction === undefined || transaction.queueId !== undefined) return;
    transaction.queueId = this.options.nextQueueId();
    this.logClient();
  }

  /** `QID: client=name[address]`: whose message it is. */
  logClient(): void {
    const asked = this.transaction?.describeSubmission() ?? "";
    this.log.info(
      `${this.logId}: client=${this.peer}${this.describeLogin()}${this.#describeForwarded()}${asked}`,
      () => ({
        ...clientFields(this, "client"),
        ...loginFields(this),
        ...submissionFields(this),
      }),
    );
  }

  /** Forgets the transaction (RSET, HELO, end of message). */
  resetTransaction(): void {
    this.transcript?.pause(this.peer);
    void this.abandonContent();
    this.#abortMilters();
    this.transaction?.filtered?.close();
    this.transaction?.endOfReservation?.();
    this.transaction = undefined;
    this.recipient = undefined;
    this.forwarded = undefined;
  }

  /** The message that the Milters know of is over. */
  #abortMilters(): void {
    if (this.milterSender !== undefined) this.milters?.abort();
    this.milterSender = undefined;
    this.milterRecipient = undefined;
  }

  /** The session is over for the Milters. As in Postfix they hear of a message that ends, and of a greeting that no longer holds. */
  endMilters(): void {
    this.#abortMilters();
    if (this.helo !== undefined) this.milters?.abort();
    this.milters?.quit();
    this.milters = undefined;
  }

  /** Gives up a message of which some chunks have come (RSET, a chunk that is refused, the end of the session). Never rejects:
   *  what cannot be removed now is removed by recovery. */
  async abandonContent(): Promise<void> {
    const { chunks } = this;
    this.chunks = undefined;
    if (chunks !== undefined && chunks !== "failed") await chunks.message.abort();
  }

  /** Back to the state before the greeting, for another client (XCLIENT). TLS stays. */
  startOver(): void {
    this.resetForTls();
    this.access = this.#newAccess();
    this.where = "CONNECT";
  }

  /** Back to the state behind the greeting (RFC 3207 §4.2). */
  resetForTls(): void {
    this.resetTransaction();
    if (this.helo !== undefined) this.milters?.abort();
    this.helo = undefined;
    this.protocol = "SMTP";
    this.user = undefined;
  }

  /** All that a restriction may look at, now. */
  facts(command: string, more?: { readonly recipient?: Address; readonly sizeBytes?: number | undefined }): Facts {
    const transaction = this.transaction;
    return {
      client: this.client,
      server: this.server,
      protocol: this.protocol,
      command,
      helo: this.helo,
      sender: transaction?.sender,
      recipient: more?.recipient,
      recipientCount: transaction?.recipientCount ?? 0,
      sasl: this.user,
      // As in Postfix, also for a login that XCLIENT told.
      saslEnabled: this.options.sasl !== undefined,
      tls: this.tls,
      sizeBytes: more?.sizeBytes ?? transaction?.start.declaredSize,
      queueId: transaction?.queueId,
      earlyTalker: this.earlyTalker,
      saslSender: transaction?.start.saslSender,
      instance: transaction && this.#instanceOf(transaction),
      authentication: this.authentication,
    };
  }

  /** Of the message that is coming in; undefined where nobody verifies it. */
  get authentication(): MessageAuthentication | undefined {
    const { authenticator } = this.options;
    const { transaction } = this;
    if (authenticator === undefined || transaction === undefined) return undefined;
    transaction.authentication ??= authenticator.begin({
      clientAddress: this.client.address,
      helo: this.helo,
      sender: transaction.sender,
      login: this.user?.username,
      trusted: this.authenticationTrusted,
    });
    return transaction.authentication;
  }

  /** One value for all that is asked about a message, as Postfix makes it: `%x.%lx.%lx.%x` of pid, time and a count. */
  #instanceOf(transaction: Transaction): string {
    if (transaction.instance !== undefined) return transaction.instance;
    const micros = this.options.clock.nowMicros();
    const parts = [this.log.id, Math.floor(micros / 1_000_000), micros % 1_000_000, this.#instances++];
    transaction.instance = parts.map((part) => part.toString(16)).join(".");
    return transaction.instance;
  }

  /** ` from=<s> to=<r> proto=ESMTP helo=<h>` and who logged in, as far as known (Postfix log_whatsup). */
  describe(): string {
    const address = (label: string, a: Address | undefined) =>
      a === undefined ? "" : ` ${label}=<${this.printable(formatAddress(a))}>`;
    const helo = this.helo === undefined ? "" : ` helo=<${this.printable(this.helo)}>`;
    const start = this.transaction?.start;
    const from = address("from", start?.sender);
    return `${from}${address("to", this.recipient)} proto=${this.protocol}${helo}${this.#describeLogin(" ")}`;
  }

  /** `, sasl_method=PLAIN, sasl_username=u`, or with blanks only. */
  describeLogin(): string {
    return this.#describeLogin(", ");
  }

  /** Remote text for the log. */
  printable(text: string): string {
    return this.settings.smtputf8 ? printableUtf8(text) : printableAscii(text);
  }

  /** A number for each explain line of the session, so that it can be asked for. */
  nextExplainId(): string {
    this.#explained++;
    return `${this.log.id}.${this.#explained}`;
  }

  #newAccess(): AccessSession {
    return this.options.access.newSession(this.options.explainer?.trace, this.log);
  }

  /** Where the port is logged; an unavailable one as Postfix names it. */
  #port(port: number): string {
    if (!this.settings.logPort) return "";
    return `:${port === 0 ? "unknown" : port}`;
  }

  /** `, orig_queue_id=ABC, orig_client=name[address]`, as far as XFORWARD told. */
  #describeForwarded(): string {
    if (this.forwarded === undefined) return "";
    const { name, address, port, protocol, helo, queueId } = this.forwarded;
    const id = queueId === undefined ? "" : `, orig_queue_id=${this.printable(queueId)}`;
    const told = [name, address, port, protocol, helo].some((value) => value !== undefined);
    const known = address !== undefined && address !== "unknown";
    const client = `${this.printable(name ?? "unknown")}${known ? `[${address}]${this.#port(port ?? 0)}` : ""}`;
    return told ? `${id}, orig_client=${client}` : id;
  }

  #describeLogin(separator: string): string {
    const saslSender = this.transaction?.start.saslSender;
    const sender = saslSender === undefined ? "" : `${separator}sasl_sender=${this.printable(saslSender)}`;
    if (this.user === undefined) return sender;
    const { method, username } = this.user;
    return `${separator}sasl_method=${this.printable(method)}${separator}sasl_username=${this.printable(username)}${sender}`;
  }

  #decode(latin1: string): { readonly text: string; readonly validUtf8: boolean } {
    if (!/[\x80-\xff]/.test(latin1)) return { text: latin1, validUtf8: true };
    const bytes = Buffer.from(latin1, "latin1");
    return isUtf8(bytes) ? { text: bytes.toString("utf8"), validUtf8: true } : { text: latin1, validUtf8: false };
  }
}
