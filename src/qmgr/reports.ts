/** qmgr/reports.ts: delivery reports as messages to append to the queue, each with the log line that goes with it. Which
 *  reports are due, and what they say, is bounce's. */

import type { Awaitable } from "../base/awaitable.ts";
import type { Clock } from "../base/clock.ts";
import type { BounceComposer } from "../bounce/compose.ts";
import type { ReportKind } from "../bounce/delivery-status.ts";
import { logMessageId } from "../log/delivery-lines.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { ComposedMessage, RcptOutcome } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ClaimedMessage, NewMessage, QueuedRecipient, QueueStore } from "../queue/store.ts";
import type { ActiveMessage, Failure } from "./active.ts";
import { isLate, timedOut } from "./deliver-by.ts";

export interface ReporterOptions {
  readonly store: Pick<QueueStore, "delayed">;
  readonly bounces: BounceComposer;
  readonly nextQueueId: () => QueueId;
  readonly laneOf: (recipient: Address, sender: Address, filter?: string | undefined) => Awaitable<string>;
  readonly clock: Clock;
  readonly logFor: (program: string) => Log;
}

export interface Reports {
  readonly append: readonly NewMessage[];
  /** To be called when they are committed. */
  readonly log: () => void;
}

/** Recipients of one message that one warning tells of. */
const MAX_DELAYED = 1000;
/** More than the header of a report has. */
const MAX_OWN_HEADER = 8192;

export class Reporter {
  readonly #options: ReporterOptions;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Rejects if they cannot be made: the original cannot be read. */
  async make(kind: ReportKind, message: ClaimedMessage, recipients: readonly Failure[]): Promise<Reports> {
    const { bounces, nextQueueId, logFor } = this.#options;
    const { envelope, content } = message;
    const { reports, remarks } = await bounces.compose({
      kind,
      message: { envelope, content },
      recipients,
      nextQueueId,
    });
    const append: NewMessage[] = [];
    for (const report of reports) append.push(await this.#newMessage(report.message));
    const log = () => {
      const { queueId } = envelope;
      const bounceLog = logFor("bounce");
      for (const { severity, text } of remarks) bounceLog[severity](`${queueId}: ${text}`);
      for (const { label, message: made } of reports) {
        logMessageId(logFor("cleanup"), { envelope: made.envelope, messageId: messageIdOf(made) });
        const notification = made.envelope.queueId;
        bounceLog.info(`${queueId}: ${label}: ${notification}`, { event: "notification", kind: label, notification });
      }
    };
    return { append, log };
  }

  /** One warning for all recipients of the message that wait after a try, these and those that other lanes hold. Rejects
   *  as make(), and QueueError. */
  async makeWarning(
    { message, claims }: ActiveMessage,
    delayed: readonly Failure[],
  ): Promise<Reports & { readonly warned: readonly number[] }> {
    const known = new Set(delayed.map(({ recipient }) => recipient.id));
    const waiting = await this.#options.store.delayed(message.envelope.queueId, MAX_DELAYED);
    const others = waiting.filter(({ id }) => !known.has(id));
    const all = [...delayed, ...others.map((recipient) => ({ recipient, outcome: remembered(recipient) }))];
    const late = isLate(message.envelope, this.#options.clock.now());
    const recipients = late ? all.map((one) => ({ ...one, outcome: timedOut(one.outcome, "deferred") })) : all;
    const warned = recipients.map(({ recipient }) => recipient.id);
    for (const id of warned) claims.told.add(id);
    try {
      return { ...(await this.make("delayed", message, recipients)), warned };
    } catch (cause) {
      for (const id of warned) claims.told.delete(id);
      throw cause;
    }
  }

  async #newMessage(composed: ComposedMessage): Promise<NewMessage> {
    const dueMs = this.#options.clock.now();
    const recipients = [];
    for (const address of composed.recipients) {
      const lane = await this.#options.laneOf(address, composed.envelope.sender, composed.envelope.filter);
      recipients.push({ address, original: address, lane, dueMs });
    }
    const { header, body } = splitContent(composed.content);
    return {
      envelope: composed.envelope,
      header,
      body: { kind: "inline", bytes: body },
      recipients,
      hold: composed.hold === true,
    };
  }
}

function messageIdOf({ content }: ComposedMessage): string {
  const bytes = Buffer.from(content.buffer, content.byteOffset, Math.min(content.byteLength, MAX_OWN_HEADER));
  return /^Message-Id: (<[^\r\n]*>)\r$/m.exec(bytes.toString("latin1"))?.[1] ?? "<>";
}

/** The outcome of an earlier try, as the queue keeps it. */
function remembered({ id, reason, lastTry }: QueuedRecipient): RcptOutcome {
  const outcome = { recipientId: id, kind: "deferred", text: reason } as const;
  return { dsn: "4.0.0", ...lastTry, ...outcome, relay: "none", connectMs: 0, transmitMs: 0 };
}

/** Splits a whole message behind the empty line that ends its header block; all header if there is none. */
function splitContent(content: Uint8Array): { readonly header: Uint8Array; readonly body: Uint8Array } {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const end = bytes.indexOf("\r\n\r\n");
  const at = end < 0 ? bytes.length : end + 4;
  return { header: bytes.subarray(0, at), body: bytes.subarray(at) };
}
