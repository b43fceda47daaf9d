/** cleanup/incoming.ts: one message on its way from smtpd to the store. States: header (bytes gather until the header
 *  section ends, bounded), body (bytes go to the store's writer, through the checks if there are any), failed (bytes are
 *  counted and dropped; the reason is told at the end of data, as RFC 5321 wants the client's data read first). The header
 *  block is made last. */
import type { Signing } from "../dkim/create.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import { sentMs } from "../mail/future-release.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { type BodyWriter, type NewMessage, type NewRecipient, QueueError, type StoredBody } from "../queue/store.ts";
import { rewriteAddress, rewriteRules } from "../rewrite/canonical.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { Authors } from "./authors.ts";
import { BodyReading } from "./body-reading.ts";
import type { CleanupResult, IncomingMessage, MessageOptions } from "./cleanup.ts";
import { Completion } from "./completion.ts";
import { ContentInspection } from "./content-inspection.ts";
import { ContentVerdict } from "./content-verdict.ts";
import type { CleanupDeps } from "./deps.ts";
import { SubmissionDuties } from "./duties/submission-duties.ts";
import { fieldValue, type HeaderField, HeaderIntake, parseFields } from "./header-block.ts";
import { Ledger, logChanges } from "./ledger.ts";
import { type MappedEnvelope, mapEnvelope, peelRecipients, unmapped } from "./map-envelope.ts";
import { type MilterPass, milterPass } from "./milter-pass.ts";
import { type MilterOutput, recordMilters } from "./milter-stage.ts";
import { messageId } from "./missing-fields.ts";
import { receivedField } from "./received.ts";
import { rewriteFields } from "./rewrite-fields.ts";
import { markedEnvelope } from "./transport-marks.ts";
import { type LeftTunnel, leaveTunnel } from "./tunnelled-priority.ts";

type Refusal = Extract<CleanupResult, { kind: "refused" }>;

/** With its body. */
interface Whole extends Prepared {
  readonly body: StoredBody;
}

/** A message that nothing stands against, but that is not stored yet. */
interface Prepared {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
  readonly hold: boolean;
}

export class Incoming implements IncomingMessage {
  readonly #deps: CleanupDeps;
  #options: MessageOptions;
  #body: BodyWriter;
  readonly #log: Log;
  /** undefined: nothing is checked. */
  readonly #inspection: ContentInspection | undefined;
  readonly #verdict: ContentVerdict | undefined;
  readonly #ledger = new Ledger();
  readonly #completion: Completion;
  /** undefined: the message only passes through. */
  readonly #duties: SubmissionDuties | undefined;
  /** How many fields on top are ours. */
  #ownCount = 0;
  #reading: BodyReading;
  /** Until the header section has ended. */
  #intake: HeaderIntake | undefined = new HeaderIntake();
  /** With our own on top. */
  #fields: readonly HeaderField[] = [];
  /** Authentication-Results, above all others. */
  #above: readonly HeaderField[] = [];
  #refusal: Refusal | undefined;
  /** What milter_header_checks has said. */
  #afterMilters: Pick<MilterOutput, "filter" | "redirect"> | undefined;
  sizeBytes = 0;

  constructor(deps: CleanupDeps, options: MessageOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#log = deps.log;
    this.#body = deps.store.beginBody(options.envelope.queueId);
    this.#completion = new Completion(deps.params, options);
    const { log, params, owners } = deps;
    if (options.role === "submission") {
      this.#duties = new SubmissionDuties({ params, log, options, ledger: this.#ledger, owners });
    }
    // Only what this site's own people and programs send: a signature says that it is the domain's.
    this.#reading = this.#beginReading();
    const { envelope, recipients } = options;
    if (!deps.checks) return;
    this.#verdict = new ContentVerdict({ envelope, recipient: recipients.at(-1)?.address, log: deps.log });
    this.#inspection = new ContentInspection(deps.checks, this.#verdict);
  }

  /** With a signature for mail of this site, an ARC set for that of others. */
  #beginReading(): BodyReading {
    const { role, authentication, envelope } = this.#options;
    const signing = role === "submission" ? this.#deps.signer?.begin() : authentication?.beginSeal();
    return new BodyReading(signing, envelope.body === "7BIT");
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.sizeBytes += chunk.length;
    const limit = this.#deps.params.get("message_size_limit");
    if (limit > 0 && this.sizeBytes > limit) this.#refuse(reply(552, "5.3.4", "Error: message file too big"));
    if (this.#refusal) return;
    if (this.#intake) return this.#writeHeader(this.#intake, chunk);
    return this.#writeBody(chunk);
  }

  get refused(): boolean {
    return this.#refusal !== undefined;
  }

  async finish(extra: Parameters<IncomingMessage["finish"]>[0]): Promise<CleanupResult> {
    const pending = this.#intake ?? this.#inspection;
    if (pending && !this.#refusal && !extra.discard) await this.#endContent();
    const verdict = this.#verdict;
    if (this.#refusal || extra.discard || verdict?.discard) {
      await this.abort();
      if (!this.#refusal)
        this.#log.info(`${this.#options.envelope.queueId}: removed (discarded)`, { event: "removed" });
      return this.#refusal ?? { kind: "queued" };
    }
    if (this.#deps.authors) await this.#checkAuthors(this.#deps.authors);
    if (this.#refusal) return this.finish(extra);
    if (extra.field !== undefined)
      this.#change([...this.#fields, ownField(extra.field)], "sent before", "postern_duplicate_guard");
    const prepared = await this.#prepare(this.#fields, extra.hold || verdict?.hold === true);
    return prepared ? this.#commit(prepared) : this.finish(extra);
  }

  /** Who has logged in may have to be who From says. */
  async #checkAuthors(authors: Authors): Promise<void> {
    const { envelope, recipients } = this.#options;
    const scene = { envelope, recipient: recipients.at(-1)?.address, log: this.#log };
    const answer = await authors.apply(this.#fields, scene);
    if (answer.kind === "refused") this.#refuse(answer.reply);
    else this.#change(answer.fields, "not owned by the login", "postern_header_from_login_mismatch");
  }

  #change(fields: readonly HeaderField[], why: string, rule: string): void {
    this.#ledger.compare(this.#fields, fields, { why, rule });
    this.#fields = fields;
  }

  endOfData(): void | Promise<void> {
    if (this.#intake && !this.#refusal) return this.#endHeader(this.#intake.end(), true);
    return undefined;
  }

  abort(): Promise<void> {
    this.#intake = undefined;
    return this.#body.abort();
  }

  /** undefined: refused, and nothing has been queued. */
  async #prepare(fields: readonly HeaderField[], hold: boolean): Promise<Prepared | undefined> {
    const { queueId } = this.#options.envelope;
    const warn = (text: string) => this.#log.warning(printableUtf8(`${queueId}: ${text}`));
    try {
      const rewritten = await this.#rewriteFields(fields, warn);
      for (const rule of this.#inspection?.changed ?? []) this.#ledger.record("body changed", { why: "matched", rule });
      this.#ledger.compare(fields, rewritten, { why: "address rewritten", rule: "address rewriting" });
      const checked = await this.#checkDuties(rewritten);
      return checked && { fields: checked, mapped: await this.#mapEnvelope(warn), hold };
    } catch (error) {
      if (!(error instanceof MappingError)) throw error;
      if (error.cause instanceof Error) this.#log.warning(printableUtf8(error.cause.message));
      warn(error.message);
      this.#refuse(
        error.kind === "limit"
          ? reply(451, "4.6.0", "Alias expansion error")
          : reply(451, "4.3.0", "Error: queue file write error"),
      );
      return undefined;
    }
  }

  /** undefined: the message is refused. */
  async #checkDuties(fields: readonly HeaderField[]): Promise<readonly HeaderField[] | undefined> {
    if (!this.#duties) return fields;
    const checked = await this.#duties.check(fields.slice(this.#ownCount));
    if ("fields" in checked) return [...fields.slice(0, this.#ownCount), ...checked.fields];
    this.#refuse(checked.refused);
    return undefined;
  }

  async #mapEnvelope(warn: (text: string) => void): Promise<MappedEnvelope> {
    const { envelope, recipients, redirected } = this.#options;
    const { mapping, params } = this.#deps;
    const { redirect, copies = [] } = this.#verdict ?? {};
    const { sender } = envelope;
    if (redirect !== undefined) return { sender, recipients: this.#redirectedTo(redirect) };
    if (redirected === true) return { sender, recipients };
    const given = { sender, recipients, copies };
    const mapped = mapping ? await mapEnvelope(given, { ...mapping, params, warn }) : unmapped(given);
    // A content filter gets addresses as they are.
    return mapping?.peel && !this.#filteredEnvelope().filter ? peelRecipients(mapped, mapping.peel) : mapped;
  }

  /** In the name of the first recipient. */
  #redirectedTo(address: Address): readonly Recipient[] {
    const [first] = this.#options.recipients;
    const rewrite = this.#deps.mapping?.rewrite ?? ((given: Address) => given);
    return first ? [{ address: rewrite(address), original: first.original }] : [];
  }

  /** Headers from elsewhere are left alone, unless remote_header_rewrite_domain says how to complete them. */
  async #rewriteFields(fields: readonly HeaderField[], warn: (text: string) => void): Promise<readonly HeaderField[]> {
    const { params, mapping } = this.#deps;
    const remoteDomain = this.#options.role === "submission" ? undefined : params.get("remote_header_rewrite_domain");
    if (remoteDomain === "") return fields;
    const rules = rewriteRules(params, remoteDomain);
    const rewrite = (address: Address) => rewriteAddress(address, rules);
    const tokenLimit = params.get("header_address_token_limit");
    return rewriteFields(fields, { rewrite, mappings: mapping?.mappings, tokenLimit, warn });
  }

  async #commit({ fields, mapped, hold }: Prepared): Promise<CleanupResult> {
    const { authentication } = this.#options;
    const results = authentication && (await authentication.resultsField());
    if (results !== undefined) this.#above = [ownField(results)];
    const completed = [...this.#above, ...this.#completion.complete(fields, mapped.sender, this.#ledger)];
    try {
      const finished = this.#body.finish();
      const body = finished instanceof Promise ? await finished : finished;
      const whole = await this.#repairBody({ fields: completed, mapped, hold, body });
      const milters = milterPass(this.#options, this.#deps);
      const passed = milters ? await this.#passMilters(milters, whole) : whole;
      if (passed === undefined) return this.finish({ hold, discard: !this.#refusal });
      const told = this.#duties?.tell(passed.fields) ?? passed.fields;
      const { signing } = this.#reading;
      const signed = signing ? await this.#sign(told, signing) : told;
      if (signed === undefined) return this.finish({ hold, discard: false });
      const { claimed, message } = await this.#append(signed, passed.body, passed);
      logChanges(this.#ledger, this.#options.envelope.queueId, this.#deps);
      if (claimed) this.#deps.arrived(claimed);
      else if (message.envelope.futureRelease) this.#deps.dueAt(message.envelope.futureRelease.untilMs);
      else if (!message.hold) this.#deps.poke();
      return { kind: "queued" };
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      if (!error.undecided) await this.abort();
      return this.#storageFailed(error);
    }
  }

  async #repairBody(whole: Whole): Promise<Whole> {
    if (!this.#duties) return whole;
    const body = { writer: this.#body, stored: whole.body, reading: this.#reading };
    try {
      const deps = { store: this.#deps.store, readAnew: () => this.#beginReading() };
      const fields = await this.#duties.repairBody(whole.fields, body, deps);
      return { ...whole, fields, body: body.stored };
    } finally {
      this.#body = body.writer;
      this.#reading = body.reading;
    }
  }

  /** undefined: the message is refused, or to be discarded. */
  async #passMilters(milters: MilterPass, { fields, mapped, hold, body: stored }: Whole): Promise<Whole | undefined> {
    const body = { writer: this.#body, stored, reading: this.#reading };
    const prepended = this.#above.length + this.#options.prepend.length;
    try {
      const out = await milters({ fields, prepended, mapped, body, readAnew: () => this.#beginReading() });
      if (out.refusal) this.#refuse(out.refusal);
      if (out.refusal || out.discard) return undefined;
      recordMilters(this.#ledger, { fields, mapped, body: stored }, { ...out, body: body.stored });
      this.#afterMilters = out;
      const { redirect } = out;
      const recipients = redirect === undefined ? out.mapped.recipients : this.#redirectedTo(redirect);
      return { fields: out.fields, mapped: { ...out.mapped, recipients }, hold: hold || out.hold, body: body.stored };
    } finally {
      this.#body = body.writer;
      this.#reading = body.reading;
    }
  }

  /** undefined: the message is refused, because it cannot be signed now. */
  async #sign(fields: readonly HeaderField[], signing: Signing): Promise<readonly HeaderField[] | undefined> {
    const { signer, log } = this.#deps;
    const scene = { envelope: this.#options.envelope, log };
    const owned = await (this.#deps.authors?.maySign([this.#fields, fields], scene) ?? true);
    const signed = await signing.sign(fields, { owned });
    if (signed.kind === "signed") {
      const all = [...signed.fields.map(ownField), ...fields];
      this.#ledger.compare(fields, all, { why: "signed for the sender's domain", rule: "DKIM" });
      return all;
    }
    log.warning(printableUtf8(`${this.#options.envelope.queueId}: cannot sign: ${signed.reason}`));
    if (signer?.whenUnavailable === "accept") return fields;
    this.#refuse(reply(451, "4.7.5", "Error: message cannot be signed, try again later"));
    return undefined;
  }

  async #append(fields: readonly HeaderField[], body: StoredBody, { mapped, hold }: Omit<Prepared, "fields">) {
    const { recipients, sender } = mapped;
    const marks = { fields, eightBit: this.#reading.eightBit, params: this.#deps.params };
    const envelope = markedEnvelope({ ...this.#filteredEnvelope(), sender, changes: this.#ledger.changes }, marks);
    const dueMs = sentMs(envelope);
    const rows: NewRecipient[] = [];
    for (const recipient of recipients) {
      const routed = this.#deps.laneOf(recipient.address, envelope.sender, envelope.filter);
      const lane = typeof routed === "string" ? routed : await routed;
      rows.push({ ...recipient, lane, dueMs });
    }
    const message: NewMessage = { envelope, header: this.#headerBlock(fields), body, recipients: rows, hold };
    const claimed = await this.#deps.store.append(message, { claim: !hold && dueMs <= envelope.arrivalMs });
    return { claimed, message };
  }

  /** The last FILTER comes before content_filter, REDIRECT before both. */
  #filteredEnvelope(): Envelope {
    const { envelope, redirected } = this.#options;
    const { filter, redirect } = this.#verdict ?? {};
    const after = this.#afterMilters;
    if ((after?.redirect ?? redirect) !== undefined || redirected === true) return { ...envelope, filter: undefined };
    const last = after?.filter ?? filter ?? envelope.filter ?? this.#deps.params.get("content_filter");
    return last === envelope.filter || last === "" ? envelope : { ...envelope, filter: last };
  }

  #writeHeader(intake: HeaderIntake, chunk: Uint8Array): void | Promise<void> {
    const got = intake.push(chunk);
    if (got.kind === "end") {
      const wait = this.#endHeader(got.header, got.blank);
      const rest = (): void | Promise<void> => {
        if (got.rest.length > 0 && !this.#refusal) return this.#writeBody(got.rest);
      };
      return wait ? wait.then(rest) : rest();
    }
    if (got.sizeBytes > this.#deps.params.get("postern_header_block_limit")) {
      this.#refuse(reply(552, "5.3.4", "Error: message header too big"));
    }
    return undefined;
  }

  #endHeader(header: Buffer, blank: boolean): void | Promise<void> {
    this.#intake = undefined;
    const given = parseFields(header, this.#deps.params.get("header_size_limit"));
    const { tunnel } = this.#options;
    if (tunnel === undefined) return this.#judgeHeader(given, blank);
    return leaveTunnel(given, tunnel).then((left) => this.#judgeHeader(this.#takePriority(left), blank));
  }

  #takePriority({ fields, priority }: LeftTunnel): readonly HeaderField[] {
    if (priority === "unknown") this.#refuse(reply(451, "4.3.0", "Temporary lookup failure"));
    else if (priority !== undefined) {
      this.#options = { ...this.#options, envelope: { ...this.#options.envelope, priority } };
    }
    return fields;
  }

  #judgeHeader(given: readonly HeaderField[], blank: boolean): void | Promise<void> {
    const { authentication } = this.#options;
    const kept = authentication === undefined ? given : authentication.header(given);
    if (kept instanceof Promise) return kept.then((fields) => this.#inspectHeader(fields, blank));
    return this.#inspectHeader(kept, blank);
  }

  #inspectHeader(given: readonly HeaderField[], blank: boolean): void | Promise<void> {
    const own = this.#ownFields();
    this.#ownCount = own.length;
    this.#ledger.compare([], own.slice(0, -1), { why: "asked for by a restriction", rule: "PREPEND" });
    const fields = [...own, ...given];
    if (!this.#inspection) {
      for (const field of fields) this.#logMessageId(field);
      return this.#takeHeader(fields);
    }
    const seen = (field: HeaderField) => this.#logMessageId(field);
    const inspected = this.#inspection.header({ fields, blank, seen });
    if (inspected instanceof Promise) return inspected.then((kept) => this.#takeInspected(fields, kept));
    return this.#takeInspected(fields, inspected);
  }

  #takeInspected(fields: readonly HeaderField[], kept: readonly HeaderField[]): void {
    if (kept !== fields) {
      const own = new Set(fields.slice(0, this.#ownCount));
      this.#ownCount = kept.findLastIndex((field) => own.has(field)) + 1;
      // A rule that ends the matter leaves out the rest.
      if (!this.#verdict?.over) this.#ledger.compare(fields, kept, { why: "matched", rule: "header_checks" });
    }
    this.#takeHeader(kept);
  }

  #takeHeader(fields: readonly HeaderField[]): void {
    this.#fields = fields;
    this.#refuseIf(this.#verdict?.rejected);
    if (this.#refusal || this.#verdict?.discard) return;
    // Ours is one of them.
    const hops = fields.filter((field) => field.name === "received").length;
    if (hops >= this.#deps.params.get("hopcount_limit")) {
      this.#log.warning(`${this.#options.envelope.queueId}: message rejected: hopcount exceeded`);
      this.#refuse(reply(554, "5.4.0", "Error: too many hops"));
    } else if (!fields.some(({ name }) => name === "message-id" || name === "resent-message-id")) this.#logMessageId();
  }

  /** The data has ended: what the checks held back of it. */
  async #endContent(): Promise<void> {
    if (this.#intake) await this.#endHeader(this.#intake.end(), true);
    if (!this.#inspection || this.#refusal) return;
    await this.#storeInspected(this.#inspection.end());
    this.#refuseIf(this.#verdict?.refusal);
  }

  #writeBody(chunk: Uint8Array): void | Promise<void> {
    this.#options.authentication?.update(chunk);
    const inspection = this.#inspection;
    if (!inspection) return this.#store(chunk);
    return this.#storeInspected(inspection.body(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
  }

  #storeInspected(bytes: Buffer | Promise<Buffer>): void | Promise<void> {
    if (bytes instanceof Promise) return bytes.then((inspected) => this.#storeInspected(inspected));
    this.#refuseIf(this.#verdict?.rejected);
    if (bytes.length > 0 && !this.#refusal && !this.#verdict?.discard) return this.#store(bytes);
    return undefined;
  }

  #store(chunk: Uint8Array): void | Promise<void> {
    this.#reading.update(chunk);
    this.#duties?.update(chunk);
    try {
      const wait = this.#body.write(chunk);
      if (wait) {
        return wait.catch((error: unknown) => {
          this.#storageFailed(error);
        });
      }
    } catch (error) {
      this.#storageFailed(error);
    }
    return undefined;
  }

  /** What PREPEND puts on top, and Received. */
  #ownFields(): readonly HeaderField[] {
    const received = receivedField(this.#options, this.#deps.params);
    return [...this.#options.prepend, received].map(ownField);
  }

  /** Fields are latin1 text of their bytes. */
  #headerBlock(fields: readonly HeaderField[]): Buffer {
    return Buffer.from(`${fields.map((field) => `${field.text}\r\n`).join("")}\r\n`, "latin1");
  }

  /** Without a field: the one that will be added. */
  #logMessageId(field?: HeaderField): void {
    const { name } = field ?? { name: "message-id" };
    if (name !== "message-id" && name !== "resent-message-id") return;
    const added = this.#completion.completes ? messageId(this.#completion.facts) : "<>";
    const value = field ? printableAscii(fieldValue(field)).slice(0, 1000) : added;
    this.#log.info(`${this.#options.envelope.queueId}: ${name}=${value}`, () => ({
      event: "message_id",
      message_id: value,
    }));
  }

  #refuseIf(answer: Reply | undefined): void {
    if (answer) this.#refuse(answer);
  }

  /** The first refusal stands. */
  #refuse(answer: Reply): Refusal {
    this.#refusal ??= { kind: "refused", reply: answer, log: answer.lines.join(" ") };
    return this.#refusal;
  }

  #storageFailed(error: unknown): Refusal {
    if (!(error instanceof QueueError)) throw error;
    if (!this.#refusal) this.#log.error(`${this.#options.envelope.queueId}: ${error.message}`);
    return this.#refuse(
      error.full
        ? reply(452, "4.3.1", "Insufficient system storage")
        : reply(451, "4.3.0", "Error: queue file write error"),
    );
  }
}

function ownField(text: string): HeaderField {
  return {
    name: text.slice(0, text.indexOf(":")).trim().toLowerCase(),
    text: /[^\x00-\x7f]/.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text,
  };
}
