/** bounce/delivery-status.ts: the machine-readable part of a report, message/delivery-status (RFC 3464 §2) or its
 *  internationalized form (RFC 6533 §3). Field names are Postfix's. */

import { type Address, formatAddress } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import type { RcptOutcome } from "../mail/delivery.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import type { Envelope } from "../mail/envelope.ts";
import { encodeUtf8Address } from "../mail/xtext.ts";
import { fold, oneLine } from "./fold.ts";

const FOLD_INDENT = "    ";

/** One recipient a report speaks about. */
export interface ReportedRecipient {
  readonly recipient: {
    readonly address: Address;
    readonly original: Address;
    readonly dsn?: RecipientDsn | undefined;
  };
  readonly outcome: RcptOutcome;
}

export type ReportKind = "failed" | "delayed" | "success" | "verify";

export interface StatusOptions {
  readonly envelope: Envelope;
  /** Who sent it; where the sender is null, the name he is given. */
  readonly sender: Address;
  readonly hostname: string;
  readonly kind: ReportKind;
  /** Will-Retry-Until, for delayed mail only (RFC 3464 §2.3.9). */
  readonly retryUntilMs: number | undefined;
  readonly recipients: readonly ReportedRecipient[];
}

/** Lines of the part without line ends; an empty line before each recipient. */
export function deliveryStatusLines(options: StatusOptions): string[] {
  const { envelope, hostname, sender } = options;
  const utf8 = envelope.smtputf8;
  const envid = envelope.dsn?.envid;
  const lines = [
    ...field("Reporting-MTA", `dns; ${hostname}`, utf8),
    ...(envid === undefined ? [] : field("Original-Envelope-Id", envid, utf8)),
    ...field("X-Postfix-Queue-ID", envelope.queueId, utf8),
    ...field("X-Postfix-Sender", typed("; ", formatAddress(sender), utf8), utf8),
    ...field("Arrival-Date", formatMailDate(envelope.arrivalMs), utf8),
  ];
  // RFC 4865 §4.1.2, RFC 2852 §5.
  if (envelope.futureRelease) lines.push(...field("Future-Release-Request", envelope.futureRelease.request, utf8));
  if (envelope.deliverBy) lines.push(...field("Deliver-By-Date", formatMailDate(envelope.deliverBy.untilMs), utf8));
  for (const reported of options.recipients) lines.push("", ...recipientLines(reported, options, utf8));
  return lines;
}

function recipientLines({ recipient, outcome }: ReportedRecipient, options: StatusOptions, utf8: boolean): string[] {
  const lines = field("Final-Recipient", typed("; ", formatAddress(recipient.address), utf8), utf8);
  const original = originalRecipient(recipient, utf8);
  if (original !== undefined) lines.push(...field("Original-Recipient", original, utf8));
  lines.push(...field("Action", actionOf(outcome, options.kind), utf8));
  lines.push(...field("Status", statusOf(outcome.dsn, options.kind), utf8));
  if (outcome.remoteMta !== undefined) lines.push(...field("Remote-MTA", `dns; ${outcome.remoteMta}`, utf8));
  lines.push(...field("Diagnostic-Code", outcome.diagnostic ?? `X-Postfix; ${outcome.text}`, utf8));
  if (options.retryUntilMs !== undefined) {
    lines.push(...field("Will-Retry-Until", formatMailDate(options.retryUntilMs), utf8));
  }
  return lines;
}

/** ORCPT, or as Postfix does what would have been it: the address as the client gave it. */
function originalRecipient({ original, dsn }: ReportedRecipient["recipient"], utf8: boolean): string | undefined {
  const [, type, address] = /^([^;]+);(.*)$/s.exec(dsn?.orcpt ?? "") ?? [];
  if (type !== undefined && address !== undefined) return `${type};${utf8 ? address : plain(address)}`;
  return original === "" ? undefined : typed(";", formatAddress(original), utf8);
}

function actionOf(outcome: RcptOutcome, kind: ReportKind): string {
  if (kind === "verify") return outcome.kind === "sent" ? "deliverable" : "undeliverable";
  if (kind !== "success") return kind;
  const action = outcome.dsnAction ?? "delivered";
  return action === "passedOn" ? "relayed" : action;
}

const STATUS_CLASS = { failed: "5", delayed: "4", success: "2", verify: "2" } as const;

/** A status that is none would make the whole part unreadable. */
function statusOf(dsn: string, kind: ReportKind): string {
  return /^[245]\.\d{1,3}\.\d{1,3}$/.test(dsn) ? dsn : `${STATUS_CLASS[kind]}.0.0`;
}

function field(name: string, value: string, utf8: boolean): string[] {
  return fold(`${name}: ${oneLine(value, utf8)}`, FOLD_INDENT);
}

/** The address with its type, `separator` between them (RFC 6533 §3). */
function typed(separator: string, external: string, utf8: boolean): string {
  const type = isAscii(external) ? "rfc822" : "utf-8";
  return `${type}${separator}${utf8 ? external : plain(external)}`;
}

/** A UTF-8 address where only ASCII may stand. */
function plain(address: string): string {
  return isAscii(address) ? address : encodeUtf8Address(address);
}

function isAscii(text: string): boolean {
  return !/[^\x00-\x7f]/.test(text);
}
