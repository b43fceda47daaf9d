/** proxy/filter.ts: what a session knows of a before-queue content filter (SMTPD_PROXY_README): it hears each command of a
 *  mail transaction and gets the content, and its answer is the client's. Types only. */
import type { Log } from "../log/log.ts";
import type { ForwardedOrigin } from "../mail/envelope.ts";
import type { Reply } from "../mail/reply.ts";

export interface FilterAnswer {
  /** The filter goes along. */
  readonly accepted: boolean;
  /** Its words, or 451 in place of an answer that it did not give. */
  readonly reply: Reply;
}

/** One mail transaction with the filter. No method rejects for anything the filter does: the answer says it. */
export interface FilteredMail {
  /** A RCPT command as the client gave it, without line end. */
  recipient(command: string): Promise<FilterAnswer>;
  /** DATA. */
  begin(): Promise<FilterAnswer>;
  /** Content without dot-stuffing. A promise means back-pressure. A failure is told by end(). */
  write(chunk: Uint8Array): void | Promise<void>;
  /** The end of the content. Only an accepted answer means that the filter has taken the message. */
  end(): Promise<FilterAnswer>;
  /** Ends the conversation; what has not ended with end() is not taken. */
  close(): void;
}

export interface FilteredStart {
  /** The MAIL command as the client gave it, without line end. */
  readonly mail: string;
  /** For XFORWARD. */
  readonly origin: ForwardedOrigin;
  /** Of the session. */
  readonly log: Log;
}

export type FilterOpened = { readonly mail: FilteredMail } | { readonly refused: Reply };

export interface BeforeQueueFilter {
  /** Begins a transaction: connects, greets, and passes MAIL on. */
  open(start: FilteredStart): Promise<FilterOpened>;
}
