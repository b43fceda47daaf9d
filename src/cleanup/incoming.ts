/** cleanup/incoming.ts: one message on its way from smtpd to the store. States: header (bytes gather until the header
 *  section ends, bounded), body (bytes go to the store's writer, through the checks if there are any), failed (bytes are
 *  counted and dropped; the reason is told at the end of data, as RFC 5321 wants the client's data read first). The header
 *  block is made last (preparation.ts, commit.ts). */
import { reply } from "../mail/reply.ts";
import type { Authors } from "./authors.ts";
import type { CleanupResult, IncomingMessage, MessageOptions } from "./cleanup.ts";
import { commit } from "./commit.ts";
import { ContentInspection } from "./content-inspection.ts";
import type { CleanupDeps } from "./deps.ts";
import { Draft } from "./draft.ts";
import { HeaderIntake } from "./header-block.ts";
import { takeHeader } from "./header-stage.ts";
import { ownField } from "./own-field.ts";
import { prepare } from "./preparation.ts";

export class Incoming implements IncomingMessage {
  readonly #deps: CleanupDeps;
  readonly #draft: Draft;
  /** undefined: nothing is checked. */
  readonly #inspection: ContentInspection | undefined;
  /** Until the header section has ended. */
  #intake: HeaderIntake | undefined = new HeaderIntake();
  sizeBytes = 0;

  constructor(deps: CleanupDeps, options: MessageOptions) {
    this.#deps = deps;
    this.#draft = new Draft(deps, options);
    const { verdict } = this.#draft;
    if (deps.checks && verdict) this.#inspection = new ContentInspection(deps.checks, verdict);
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.sizeBytes += chunk.length;
    const limit = this.#deps.params.get("message_size_limit");
    if (limit > 0 && this.sizeBytes > limit) this.#draft.refuse(reply(552, "5.3.4", "Error: message file too big"));
    if (this.refused) return;
    if (this.#intake) return this.#writeHeader(this.#intake, chunk);
    return this.#writeBody(chunk);
  }

  get refused(): boolean {
    return this.#draft.refusal !== undefined;
  }

  async finish(extra: Parameters<IncomingMessage["finish"]>[0]): Promise<CleanupResult> {
    const draft = this.#draft;
    const pending = this.#intake ?? this.#inspection;
    if (pending && !this.refused && !extra.discard) await this.#endContent();
    if (draft.over || extra.discard) return this.#drop();
    if (this.#deps.authors) await this.#checkAuthors(this.#deps.authors);
    if (this.refused) return this.#drop();
    if (extra.field !== undefined)
      draft.change([...draft.fields, ownField(extra.field)], "sent before", "postern_duplicate_guard");
    const prepared = await prepare(draft, this.#inspection?.changed ?? []);
    if (!prepared) return this.#drop();
    const done = await commit(draft, prepared, extra.hold || draft.verdict?.hold === true);
    if (done === "dropped") return this.#drop();
    return draft.refusal ?? { kind: "queued" };
  }

  endOfData(): void | Promise<void> {
    if (this.#intake && !this.refused) return this.#endHeader(this.#intake.end(), true);
    return undefined;
  }

  abort(): Promise<void> {
    this.#intake = undefined;
    return this.#draft.body.abort();
  }

  /** Refused, or discarded. */
  async #drop(): Promise<CleanupResult> {
    await this.abort();
    const { refusal, queueId } = this.#draft;
    if (!refusal) this.#deps.log.info(`${queueId}: removed (discarded)`, { event: "removed" });
    return refusal ?? { kind: "queued" };
  }

  /** Who has logged in may have to be who From says. */
  async #checkAuthors(authors: Authors): Promise<void> {
    const draft = this.#draft;
    const { envelope, recipients } = draft.options;
    const scene = { envelope, recipient: recipients.at(-1)?.address, log: this.#deps.log, turns: draft.turns };
    const answer = await authors.apply(draft.fields, scene);
    if (answer.kind === "refused") draft.refuse(answer.reply);
    else draft.change(answer.fields, "not owned by the login", "postern_header_from_login_mismatch");
  }

  #writeHeader(intake: HeaderIntake, chunk: Uint8Array): void | Promise<void> {
    const got = intake.push(chunk);
    if (got.kind === "end") {
      const wait = this.#endHeader(got.header, got.blank);
      const rest = (): void | Promise<void> => {
        if (got.rest.length > 0 && !this.refused) return this.#writeBody(got.rest);
      };
      return wait ? wait.then(rest) : rest();
    }
    if (got.sizeBytes > this.#deps.params.get("postern_header_block_limit")) {
      this.#draft.refuse(reply(552, "5.3.4", "Error: message header too big"));
    }
    return undefined;
  }

  #endHeader(bytes: Buffer, blank: boolean): void | Promise<void> {
    this.#intake = undefined;
    return takeHeader(this.#draft, { bytes, blank }, this.#inspection);
  }

  /** The data has ended: what the checks held back of it. */
  async #endContent(): Promise<void> {
    if (this.#intake) await this.#endHeader(this.#intake.end(), true);
    if (!this.#inspection || this.refused) return;
    await this.#storeInspected(this.#inspection.end());
    this.#draft.refuse(this.#draft.verdict?.refusal);
  }

  #writeBody(chunk: Uint8Array): void | Promise<void> {
    this.#draft.options.authentication?.update(chunk);
    const inspection = this.#inspection;
    if (!inspection) return this.#store(chunk);
    return this.#storeInspected(inspection.body(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
  }

  #storeInspected(bytes: Buffer | Promise<Buffer>): void | Promise<void> {
    if (bytes instanceof Promise) return bytes.then((inspected) => this.#storeInspected(inspected));
    this.#draft.refuse(this.#draft.verdict?.rejected);
    if (bytes.length > 0 && !this.#draft.over) return this.#store(bytes);
    return undefined;
  }

  #store(chunk: Uint8Array): void | Promise<void> {
    const { body, duties } = this.#draft;
    duties?.update(chunk);
    try {
      const wait = body.write(chunk);
      if (wait) return wait.catch((error: unknown) => this.#draft.storageFailed(error));
    } catch (error) {
      this.#draft.storageFailed(error);
    }
    return undefined;
  }
}
