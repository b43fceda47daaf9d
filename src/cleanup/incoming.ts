/** cleanup/incoming.ts: one message on its way from smtpd to the store. States: header (bytes gather until the header
 *  section ends, bounded), body (bytes go straight to the store's writer), failed (bytes are counted and dropped; the
 *  reason is told at the end of data, as RFC 5321 wants the client's data read first). The header block is made last. */
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { type BodyWriter, type NewMessage, type NewRecipient, QueueError, type StoredBody } from "../queue/store.ts";
import { rewriteAddress, rewriteRules } from "../rewrite/canonical.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { CleanupResult, IncomingMessage, MessageOptions } from "./cleanup.ts";
import type { CleanupDeps } from "./deps.ts";
import { fieldValue, type HeaderField, HeaderScanner, parseFields } from "./header-block.ts";
import { type MappedEnvelope, mapEnvelope } from "./map-envelope.ts";
import { missingFields } from "./missing-fields.ts";
import { receivedField } from "./received.ts";
import { rewriteFields } from "./rewrite-fields.ts";

const EMPTY = Buffer.alloc(0);

type Refusal = Extract<CleanupResult, { kind: "refused" }>;

/** A message that nothing stands against, but that is not stored yet. */
interface Prepared {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
  readonly hold: boolean;
}

export class Incoming implements IncomingMessage {
  readonly #deps: CleanupDeps;
  readonly #options: MessageOptions;
  readonly #body: BodyWriter;
  readonly #log: Log;
  #scanner: HeaderScanner | undefined = new HeaderScanner();
  #pending: Buffer[] = [];
  #header: Buffer = EMPTY;
  #refusal: Refusal | undefined;
  sizeBytes = 0;

  constructor(deps: CleanupDeps, options: MessageOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#log = deps.log;
    this.#body = deps.store.beginBody(options.envelope.queueId);
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.sizeBytes += chunk.length;
    const limit = this.#deps.params.get("message_size_limit");
    if (limit > 0 && this.sizeBytes > limit) this.#refuse(reply(552, "5.3.4", "Error: message file too big"));
    if (this.#refusal) return;
    if (this.#scanner) return this.#writeHeader(chunk);
    return this.#writeBody(chunk);
  }

  async finish(extra: { readonly hold: boolean; readonly discard: boolean }): Promise<CleanupResult> {
    if (this.#refusal || extra.discard) {
      await this.abort();
      if (!this.#refusal)
        this.#log.info(`${this.#options.envelope.queueId}: removed (discarded)`, { event: "removed" });
      return this.#refusal ?? { kind: "queued" };
    }
    if (this.#scanner) this.#endHeader();
    const fields = parseFields(this.#header, this.#deps.params.get("header_size_limit"));
    const hops = fields.filter((field) => field.name === "received").length;
    if (hops > this.#deps.params.get("hopcount_limit")) {
      this.#refuse(reply(554, "5.4.0", "Error: too many hops"));
      return this.finish(extra);
    }
    const prepared = await this.#prepare(fields, extra.hold);
    return prepared ? this.#commit(prepared) : this.finish(extra);
  }

  abort(): Promise<void> {
    this.#pending = [];
    return this.#body.abort();
  }

  /** undefined: refused, and nothing has been queued. */
  async #prepare(fields: readonly HeaderField[], hold: boolean): Promise<Prepared | undefined> {
    const { queueId } = this.#options.envelope;
    const warn = (text: string) => this.#log.warning(printableUtf8(`${queueId}: ${text}`));
    try {
      return { fields: await this.#rewriteFields(fields, warn), mapped: await this.#mapEnvelope(warn), hold };
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

  async #mapEnvelope(warn: (text: string) => void): Promise<MappedEnvelope> {
    const { envelope, recipients, redirected } = this.#options;
    const { mapping, params } = this.#deps;
    const given = { sender: envelope.sender, recipients };
    if (mapping === undefined || redirected === true) return given;
    return mapEnvelope(given, { ...mapping, params, warn });
  }

  /** Headers from elsewhere are left alone, unless remote_header_rewrite_domain says how to complete them. */
  async #rewriteFields(fields: readonly HeaderField[], warn: (text: string) => void): Promise<readonly HeaderField[]> {
    const { params, mapping } = this.#deps;
    const remoteDomain = this.#options.role === "submission" ? undefined : params.get("remote_header_rewrite_domain");
    if (remoteDomain === "") return fields;
    const rules = rewriteRules(params, remoteDomain);
    const rewrite = (address: Address) => rewriteAddress(address, rules);
    return rewriteFields(fields, { rewrite, mappings: mapping?.mappings, warn });
  }

  async #commit({ fields, mapped, hold }: Prepared): Promise<CleanupResult> {
    const complete = this.#completeFields(fields, mapped.sender);
    try {
      const finished = this.#body.finish();
      const body = finished instanceof Promise ? await finished : finished;
      const { claimed, message } = await this.#append(complete, body, { mapped, hold });
      this.#logMessageId(complete);
      if (claimed) this.#deps.arrived(claimed);
      else if (!message.hold) this.#deps.poke();
      return { kind: "queued" };
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      await this.abort();
      return this.#storageFailed(error);
    }
  }

  async #append(fields: readonly HeaderField[], body: StoredBody, { mapped, hold }: Omit<Prepared, "fields">) {
    const { recipients, sender } = mapped;
    const envelope = { ...this.#filteredEnvelope(), sender };
    const rows: NewRecipient[] = [];
    for (const recipient of recipients) {
      const routed = this.#deps.laneOf(recipient.address, envelope.sender, envelope.filter);
      const lane = typeof routed === "string" ? routed : await routed;
      rows.push({ ...recipient, lane, dueMs: envelope.arrivalMs });
    }
    const message: NewMessage = { envelope, header: this.#headerBlock(fields), body, recipients: rows, hold };
    const claimed = await this.#deps.store.append(message, { claim: !hold });
    return { claimed, message };
  }

  /** FILTER comes before content_filter. */
  #filteredEnvelope(): Envelope {
    const { envelope } = this.#options;
    const filter = this.#deps.params.get("content_filter");
    return envelope.filter !== undefined || filter === "" ? envelope : { ...envelope, filter };
  }

  #writeHeader(chunk: Uint8Array): void | Promise<void> {
    this.#pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    const gathered = this.#gathered();
    const end = this.#scanner?.scan(gathered);
    if (end?.kind === "end") {
      this.#header = gathered.subarray(0, end.headerEnd);
      this.#scanner = undefined;
      this.#pending = [];
      const rest = gathered.subarray(end.bodyStart);
      return rest.length > 0 ? this.#writeBody(rest) : undefined;
    }
    if (gathered.length > this.#deps.params.get("postern_header_block_limit")) {
      this.#refuse(reply(552, "5.3.4", "Error: message header too big"));
    }
    return undefined;
  }

  /** What has arrived of the header, as one buffer; the limit on it bounds the copying. */
  #gathered(): Buffer {
    if (this.#pending.length > 1) this.#pending = [Buffer.concat(this.#pending)];
    return this.#pending[0] ?? EMPTY;
  }

  /** The data ended inside the header: there is no body. */
  #endHeader(): void {
    this.#header = this.#gathered();
    this.#scanner = undefined;
    this.#pending = [];
  }

  #writeBody(chunk: Uint8Array): void | Promise<void> {
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

  #completeFields(fields: readonly HeaderField[], sender: Address): readonly HeaderField[] {
    const { params } = this.#deps;
    const drop = new Set(params.get("message_drop_headers").map((name) => name.toLowerCase()));
    const kept = fields.filter((field) => !drop.has(field.name));
    const rewritten = this.#options.role === "submission" || params.get("remote_header_rewrite_domain") !== "";
    if (!rewritten && !params.get("always_add_missing_headers")) return kept;
    const { envelope } = this.#options;
    const added = missingFields([...this.#prepended(), ...fields], {
      sender,
      queueId: envelope.queueId,
      arrivalMs: envelope.arrivalMs,
      myhostname: params.get("myhostname"),
      undisclosedRecipients: params.get("undisclosed_recipients_header"),
    });
    return [...kept, ...added];
  }

  /** What PREPEND puts on top, as fields: the client need not send what is there. */
  #prepended(): readonly HeaderField[] {
    return this.#options.prepend.map((text) => ({ name: text.slice(0, text.indexOf(":")).trim().toLowerCase(), text }));
  }

  /** Our own lines are UTF-8 or ASCII; the client's fields are latin1 text of the bytes that came. */
  #headerBlock(fields: readonly HeaderField[]): Buffer {
    const own = [...this.#options.prepend, receivedField(this.#options, this.#deps.params)];
    const top = Buffer.from(`${own.join("\r\n")}\r\n`, "utf8");
    const rest = Buffer.from(`${fields.map((field) => `${field.text}\r\n`).join("")}\r\n`, "latin1");
    return Buffer.concat([top, rest]);
  }

  #logMessageId(fields: readonly HeaderField[]): void {
    const all = [...this.#prepended(), ...fields];
    const field = all.find((f) => f.name === "message-id") ?? all.find((f) => f.name === "resent-message-id");
    const value = field ? printableAscii(fieldValue(field)).slice(0, 1000) : "<>";
    const label = field?.name === "resent-message-id" ? "resent-message-id" : "message-id";
    this.#log.info(`${this.#options.envelope.queueId}: ${label}=${value}`, () => ({
      event: "message_id",
      message_id: value,
    }));
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
