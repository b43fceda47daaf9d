/** mail/delivery.ts: the interface between the scheduler and the delivery agents (design §6: agents are injected). */
import type { Address } from "./address.ts";
import type { RecipientDsn } from "./dsn.ts";
import type { Envelope, Recipient } from "./envelope.ts";

/** Content as stored: header block, empty line and body as one CRLF byte stream, no dot-stuffing. */
export interface MessageContent {
  /** Exact number of bytes of the whole stream. */
  readonly sizeBytes: number;
  /** Starts from the beginning at each call. Chunks may be of any size. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface DeliveryRecipient {
  /** The store's row id; results refer to it. */
  readonly id: number;
  readonly address: Address;
  readonly original: Address;
  readonly dsn?: RecipientDsn | undefined;
}

export interface DeliveryRequest {
  readonly envelope: Envelope;
  /** Transport name of master.cf ("smtp", "relay", "local", "discard", "error"). */
  readonly transport: string;
  /** As the transport reads it: "[host]:port", "example.com", an error text. */
  readonly nexthop: string;
  /** At least one. */
  readonly recipients: readonly DeliveryRecipient[];
  readonly content: MessageContent;
  /** When qmgr took the message into the active set. */
  readonly activeMs: number;
  /** Only find out what would become of it: nothing is written, nothing transmitted. "sent" means deliverable. */
  readonly probe?: true | undefined;
}

/** One recipient's outcome. `text` is what stands in the log's last parentheses, remote text verbatim but printable. */
export interface RcptOutcome {
  readonly recipientId: number;
  readonly kind: "sent" | "deferred" | "bounced";
  /** Enhanced status "2.0.0", "4.4.1", "5.1.1". */
  readonly dsn: string;
  readonly text: string;
  /** "host[addr]:port", "local", "none" … for `relay=`. */
  readonly relay: string;
  /** Name of the MTA that said it, for Remote-MTA; undefined when the reason is our own. */
  readonly remoteMta?: string | undefined;
  /** Diagnostic-Code payload "smtp; 550 …"; undefined: made from `text` as X-Postfix. */
  readonly diagnostic?: string | undefined;
  /** Milliseconds spent connecting and transmitting, for `delays=`. */
  readonly connectMs: number;
  readonly transmitMs: number;
  /** How many deliveries the connection has carried, this one included; shown when above 1. */
  readonly connectionUse?: number | undefined;
  /** For "sent", what a success report says: "relayed" to a hop that knows no DSN, "expanded" into other recipients;
   *  undefined: "delivered". "passedOn": the hop knows DSN, so success is its to report. */
  readonly dsnAction?: "relayed" | "expanded" | "passedOn" | undefined;
  /** Of "sent": its sender is told that it was relayed, unless he wants no reports at all (RFC 2852 §4.1.4). */
  readonly reportRelay?: boolean | undefined;
  /** Where an alias led: the address that log lines and reports name; undefined: the recipient's own. */
  readonly address?: Address | undefined;
  /** The transport that delivered, if the agent handed the recipient on to it; names the program in the log. */
  readonly transport?: string | undefined;
  /** What takes the recipient's place: committed in the transaction that removes it, never if it is deferred. */
  readonly forwards?: readonly ForwardedMessage[] | undefined;
  /** What else became of the recipient in this try: a log line each, and those that bounced are reported too. */
  readonly also?: readonly Omit<RcptOutcome, "forwards" | "also">[] | undefined;
}

/** The content of the message again, for other recipients and perhaps another sender: mail that an alias forwards. */
export interface ForwardedMessage {
  readonly envelope: Envelope;
  /** At least one. */
  readonly recipients: readonly Recipient[];
  /** Header lines that go on top of the content's, CRLF line ends. */
  readonly head: Uint8Array;
  /** `<…>` of the content, for the log. */
  readonly messageId: string;
}

export interface DeliveryAgent {
  /** Exactly one outcome per recipient. A throw is a bug: the scheduler defers all recipients with 4.3.0 and logs it. */
  deliver(request: DeliveryRequest, signal: AbortSignal): Promise<readonly RcptOutcome[]>;
  /** Whether deliver() heeds `probe`. An agent that does not say so is never probed: it would deliver. */
  readonly probes?: true | undefined;
  /** Closes cached connections. */
  close(): Promise<void>;
}

/** A message that some room wants to add to the queue in the same commit (bounces). Content is whole, CRLF lines. */
export interface ComposedMessage {
  readonly envelope: Envelope;
  readonly recipients: readonly Address[];
  readonly content: Uint8Array;
  /** An operator shall look at it before it is sent. */
  readonly hold?: boolean;
}
