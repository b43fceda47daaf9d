/** cleanup/cleanup.ts: the interface between smtpd and the room that makes messages (design §5 steps 7-8). */

import type { Awaitable } from "../base/awaitable.ts";
import type { Address } from "../mail/address.ts";
import type { TlsSession } from "../mail/client.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import type { MessageAuthentication } from "../mail/message-authentication.ts";
import type { Reply } from "../mail/reply.ts";
import type { MilterSession } from "../milter/milters.ts";
import type { PriorityTunnel } from "./tunnelled-priority.ts";

/** One message being received. Bytes are un-stuffed and have CRLF line ends. */
export interface IncomingMessage {
  /** A promise means back-pressure. Errors are kept and told by finish(), so the client's data is read to its end. */
  write(chunk: Uint8Array): void | Promise<void>;
  /** Real size so far, for end_of_data restrictions. */
  readonly sizeBytes: number;
  /** Further data is not kept: finish() will refuse. */
  readonly refused: boolean;
  /** Commits. Success only after stable storage holds everything (promise 1). */
  finish(extra: FinishOptions): Promise<CleanupResult>;
  abort(): Promise<void>;
  /** All content has come: says so to who verifies it, for those who ask before finish(). */
  endOfData?(): void | Promise<void>;
}

export interface FinishOptions {
  readonly hold: boolean;
  readonly discard: boolean;
  /** A header field to add, without line end. */
  readonly field?: string | undefined;
}

export type CleanupResult =
  /** `reply`: that of a before-queue filter, which has taken it in the place of our queue. */
  /** `duplicateOf`: nothing was queued, for that is the same message. */
  | { readonly kind: "queued"; readonly reply?: Reply | undefined; readonly duplicateOf?: string | undefined }
  /** Refused with the reply to give: 452/451 storage, 552 5.3.4, 554 5.4.0 too many hops … */
  | { readonly kind: "refused"; readonly reply: Reply; readonly log: string };

export interface MessageOptions {
  readonly envelope: Envelope;
  readonly recipients: readonly Recipient[];
  /** Those of them that the client named, if not all: only they may show in Received. */
  readonly accepted?: readonly Recipient[];
  /** REDIRECT named the recipient: it is not mapped. */
  readonly redirected?: boolean;
  readonly tls: TlsSession | undefined;
  /** Header lines to put on top (PREPEND), without line end. */
  readonly prepend: readonly string[];
  /** "submission": complete Date, Message-ID, From; "mx": Received only. */
  readonly role: "submission" | "mx";
  /** Asked at the end; undefined: there are none. */
  readonly milters?: MilterSession | undefined;
  /** Who verifies it; undefined: nobody does. */
  readonly authentication?: MessageAuthentication | undefined;
  /** Whether a priority may come in the header; undefined: such a field is as any other. */
  readonly tunnel?: PriorityTunnel | undefined;
  /** The sender's name, for a From field that is missing (sendmail -F). */
  readonly fullName?: string | undefined;
}

export interface Cleanup {
  begin(options: MessageOptions): IncomingMessage;
}

/** Tells qmgr about a committed message; given to cleanup by the worker. */
export type RouteLane = (recipient: Address, sender: Address, filter?: string | undefined) => Awaitable<string>;
