/** mail/envelope.ts: what is known about a message besides its content; stored with it as JSON-able data. */
import type { Address } from "./address.ts";
import type { MessageDsn, RecipientDsn } from "./dsn.ts";
import type { QueueId } from "./queue-id.ts";

/** What XFORWARD told of the mail's real origin. "unknown" where it said that something is unavailable. */
export interface ForwardedOrigin {
  readonly name?: string | undefined;
  readonly address?: string | undefined;
  /** 0: unavailable. */
  readonly port?: number | undefined;
  readonly protocol?: string | undefined;
  readonly helo?: string | undefined;
  /** The queue id that the mail had there. */
  readonly queueId?: string | undefined;
  /** Whether that host took it from one of its own. */
  readonly source?: "local" | "remote" | undefined;
}

/** Where a message came from; kept for logs, Received, and the bounce. */
export interface Origin {
  readonly clientName: string;
  readonly clientAddress: string;
  readonly helo: string | undefined;
  /** "SMTP" | "ESMTP"; "UTF8SMTP" is made from it for Received. */
  readonly protocol: string;
  readonly saslMethod?: string | undefined;
  readonly saslUsername?: string | undefined;
  readonly saslSender?: string | undefined;
  /** Service name of master.cf, "submission". */
  readonly service: string;
  /** The user of this machine who submitted it; then there is no client, and the names above are this machine's. */
  readonly uid?: number | undefined;
  /** Where it came from before a content filter. */
  readonly forwarded?: ForwardedOrigin | undefined;
}

/** BY= of MAIL (RFC 2852 §4): by when it is to be delivered, and what happens if it is not. */
export interface DeliverBy {
  readonly untilMs: number;
  /** "R": give up and report failure. "N": report the delay, go on. */
  readonly mode: "N" | "R";
  /** The modifier T: each relay is reported. */
  readonly trace: boolean;
}

/** HOLDFOR= or HOLDUNTIL= of MAIL (RFC 4865 §4). */
export interface FutureRelease {
  readonly untilMs: number;
  /** As reports quote it in Future-Release-Request: "for;3600" or "until;2026-12-24T18:00:00Z". */
  readonly request: string;
}

/** One thing that was done to a message, printable: `Date replaced`, why, and the rule of main.cf that says so. */
export interface Change {
  readonly what: string;
  readonly why: string;
  readonly rule: string;
}

export interface Changes {
  readonly list: readonly Change[];
  /** How many more there were. */
  readonly omitted?: number;
}

export interface Envelope {
  readonly queueId: QueueId;
  readonly sender: Address;
  readonly arrivalMs: number;
  readonly smtputf8: boolean;
  readonly body: "7BIT" | "8BITMIME" | "BINARYMIME";
  /** REQUIRETLS (RFC 8689 §2): only over TLS to servers that prove who they are and promise the same. */
  readonly requireTls?: boolean | undefined;
  /** The header field "TLS-Required: No" (RFC 8689 §3): policies that demand TLS do not count. */
  readonly tlsOptional?: boolean | undefined;
  /** MT-PRIORITY (RFC 6710), -9 to 9; undefined: 0. */
  readonly priority?: number | undefined;
  readonly deliverBy?: DeliverBy | undefined;
  readonly futureRelease?: FutureRelease | undefined;
  /** Nothing is delivered: its sender is told what would become of each recipient (sendmail -bv). */
  readonly verify?: boolean | undefined;
  readonly origin: Origin;
  /** `transport:nexthop` that gets the whole message instead of its recipients' own (FILTER, content_filter). */
  readonly filter?: string | undefined;
  /** undefined: the client asked for nothing. */
  readonly dsn?: MessageDsn | undefined;
  /** What cleanup did to the message; undefined: nothing. */
  readonly changes?: Changes | undefined;
}

/** One recipient as it is asked to be delivered. `address` after rewriting; `original` as the client gave it. */
export interface Recipient {
  readonly address: Address;
  readonly original: Address;
  /** Kept through rewriting and alias expansion; undefined: the client asked for nothing. */
  readonly dsn?: RecipientDsn | undefined;
}
