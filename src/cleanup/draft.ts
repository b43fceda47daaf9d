/** cleanup/draft.ts: one message that is not stored yet: what all stages share that make it, and the first reason not to take it. */
import type { Turns } from "../base/turns.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { QueueError } from "../queue/store.ts";
import { BodyReading } from "./body-reading.ts";
import type { CleanupResult, MessageOptions } from "./cleanup.ts";
import { Completion } from "./completion.ts";
import { ContentVerdict } from "./content-verdict.ts";
import type { CleanupDeps } from "./deps.ts";
import { SubmissionDuties } from "./duties/submission-duties.ts";
import type { HeaderField } from "./header-block.ts";
import { Ledger } from "./ledger.ts";
import { MessageBody } from "./message-body.ts";

export type Refusal = Extract<CleanupResult, { kind: "refused" }>;

export class Draft {
  readonly deps: CleanupDeps;
  /** The envelope gets the priority that the header has. */
  options: MessageOptions;
  readonly ledger = new Ledger();
  readonly completion: Completion;
  /** undefined: nothing is checked. */
  readonly verdict: ContentVerdict | undefined;
  /** undefined: the message only passes through. */
  readonly duties: SubmissionDuties | undefined;
  readonly body: MessageBody;
  /** With our own on top. */
  fields: readonly HeaderField[] = [];
  /** How many fields on top are ours. */
  ownCount = 0;
  /** Of a large header: who goes through all of it lets others have their turn. undefined: it is small. */
  turns: Turns | undefined;
  #refusal: Refusal | undefined;

  constructor(deps: CleanupDeps, options: MessageOptions) {
    this.deps = deps;
    this.options = options;
    const { params, log, owners } = deps;
    const { envelope, recipients, role } = options;
    this.completion = new Completion(params, options);
    if (role === "submission") {
      this.duties = new SubmissionDuties({ params, log, options, ledger: this.ledger, owners });
    }
    if (deps.checks) this.verdict = new ContentVerdict({ envelope, recipient: recipients.at(-1)?.address, log });
    this.body = new MessageBody(deps.store.beginBody(envelope.queueId), this.beginReading());
  }

  get queueId(): string {
    return this.options.envelope.queueId;
  }

  /** Of this body, or of one that comes in its place. With a signature for mail of this site, which says that it is the
   *  domain's: only what its own people and programs send; an ARC set for that of others. */
  beginReading(): BodyReading {
    const { role, authentication, envelope } = this.options;
    const signing = role === "submission" ? this.deps.signer?.begin() : authentication?.beginSeal();
    return new BodyReading(signing, envelope.body === "7BIT");
  }

  /** Other fields, and who wants them. */
  change(fields: readonly HeaderField[], why: string, rule: string): void {
    this.ledger.compare(this.fields, fields, { why, rule });
    this.fields = fields;
  }

  warn(text: string): void {
    this.deps.log.warning(printableUtf8(`${this.queueId}: ${text}`));
  }

  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /** Nothing more of the content matters. */
  get over(): boolean {
    return this.#refusal !== undefined || this.verdict?.discard === true;
  }

  /** The first refusal stands; undefined: nothing is refused. */
  refuse(answer: Reply | undefined): void {
    if (answer && !this.#refusal) this.#refusal = { kind: "refused", reply: answer, log: answer.lines.join(" ") };
  }

  /** Refuses for now, and logs why, once. Throws what is no QueueError. */
  storageFailed(error: unknown): void {
    if (!(error instanceof QueueError)) throw error;
    if (!this.#refusal) this.deps.log.error(`${this.queueId}: ${error.message}`);
    this.refuse(
      error.full
        ? reply(452, "4.3.1", "Insufficient system storage")
        : reply(451, "4.3.0", "Error: queue file write error"),
    );
  }
}
