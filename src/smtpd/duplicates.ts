/** smtpd/duplicates.ts: the duplicate guard (RFC 1047): a client that never read the reply to a message sends it again. A message in front of
 *  cleanup that hashes what comes by, asks before it is queued, and tells when the client has read the reply: when its next command is read. */
import type { CleanupResult, IncomingMessage } from "../cleanup/cleanup.ts";
import type { DuplicateGuard } from "../duplicates/claim.ts";
import { MessageKey } from "../duplicates/message-key.ts";
import { reply } from "../mail/reply.ts";
import type { Session } from "./session.ts";
import type { Transaction } from "./transaction.ts";
import { logNotice } from "./verdict.ts";

type Finish = Parameters<IncomingMessage["finish"]>[0];

/** The message under guard; the same where there is none. */
export function guarded(session: Session, transaction: Transaction, message: IncomingMessage): IncomingMessage {
  const { duplicates } = session.options;
  if (duplicates === undefined || transaction.queueId === undefined) return message;
  return new GuardedMessage(message, { session, guard: duplicates, queueId: transaction.queueId, transaction });
}

interface Parts {
  readonly session: Session;
  readonly guard: DuplicateGuard;
  readonly transaction: Transaction;
  readonly queueId: string;
}

class GuardedMessage implements IncomingMessage {
  readonly #inner: IncomingMessage;
  readonly #parts: Parts;
  readonly #key: MessageKey;

  constructor(inner: IncomingMessage, parts: Parts) {
    this.#inner = inner;
    this.#parts = parts;
    const { session, transaction } = parts;
    this.#key = new MessageKey({
      identity: session.user ? `login ${session.user.username}` : `client ${session.client.address}`,
      sender: transaction.sender,
      recipients: transaction.accepted.map(({ original }) => original),
    });
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.#key.update(chunk);
    return this.#inner.write(chunk);
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  get refused(): boolean {
    return this.#inner.refused;
  }

  abort(): Promise<void> {
    return this.#inner.abort();
  }

  endOfData(): void | Promise<void> {
    return this.#inner.endOfData?.();
  }

  async finish(extra: Finish): Promise<CleanupResult> {
    const { session, guard, queueId } = this.#parts;
    const key = this.#key.digest();
    const first = await guard.claims.ask(key, queueId, guard.windowMs);
    if (first === "new") return this.#claimed(key, extra);
    if (first !== "unknown") return this.#again(key, first.queueId, extra);
    if (guard.action === "mark") return this.#inner.finish(extra);
    await this.#inner.abort();
    logNotice(session, "defer", "the same message is being received, or the duplicate guard cannot tell");
    const refusal = reply(451, "4.3.0", "Error: cannot tell whether this message was received before, try again later");
    return { kind: "refused", reply: refusal, log: "" };
  }

  async #claimed(key: string, extra: Finish): Promise<CleanupResult> {
    const { session, guard, queueId } = this.#parts;
    let kept = false;
    try {
      const result = await this.#inner.finish(extra);
      kept = result.kind === "queued";
      if (kept) session.replyRead = () => guard.claims.tell("read", key, queueId);
      return result;
    } finally {
      guard.claims.tell(kept ? "kept" : "gone", key, queueId);
    }
  }

  /** The first one's claim goes on until this reply has been read. */
  async #again(key: string, firstId: string, extra: Finish): Promise<CleanupResult> {
    const { session, guard } = this.#parts;
    const replyRead = () => guard.claims.tell("read", key, firstId);
    if (guard.action === "suppress") {
      await this.#inner.abort();
      logNotice(session, "discard", `same message as ${firstId}, whose reply was not read: postern_duplicate_guard`);
      session.replyRead = replyRead;
      return { kind: "queued", duplicateOf: firstId };
    }
    logNotice(session, "warning", `same message as ${firstId}, whose reply was not read: postern_duplicate_guard`);
    const result = await this.#inner.finish({ ...extra, field: `X-Postern-Duplicate-Of: ${firstId}` });
    if (result.kind === "queued") session.replyRead = replyRead;
    return result;
  }
}
