/** bounce/delivery-status.ts: the machine-readable part of a report, message/delivery-status (RFC 3464 §2) or its
 *  internationalized form (RFC 6533 §3). Field names are Postfix's. */

import { type Address, formatAddress } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import type { RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { fold, oneLine } from "./fold.ts";

const FOLD_INDENT = "    ";

/** One recipient a report speaks about. */
export interface ReportedRecipient {
  readonly recipient: { readonly address: Address; readonly original: Address };
  readonly outcome: RcptOutcome;
}

export interface StatusOptions {
  readonly envelope: Envelope;
  readonly hostname: string;
  readonly action: "failed" | "delayed";
  /** Will-Retry-Until, for delayed mail only (RFC 3464 §2.3.9). */
  readonly retryUntilMs: number | undefined;
  readonly recipients: readonly ReportedRecipient[];
}

/** Lines of the part without line ends; an empty line before each recipient. */
export function deliveryStatusLines(options: StatusOptions): string[] {
  const { envelope, hostname } = options;
  const utf8 = envelope.smtputf8;
  const lines = [
    ...field("Reporting-MTA", `dns; ${hostname}`, utf8),
    ...field("X-Postfix-Queue-ID", envelope.queueId, utf8),
    ...addressField("X-Postfix-Sender", envelope.sender, utf8),
    ...field("Arrival-Date", formatMailDate(envelope.arrivalMs), utf8),
  ];
  for (const reported of options.recipients) lines.push("", ...recipientLines(reported, options, utf8));
  return lines;
}

function recipientLines({ recipient, outcome }: ReportedRecipient, options: StatusOptions, utf8: boolean): string[] {
  const lines = addressField("Final-Recipient", recipient.address, utf8);
  if (recipient.original !== "" && recipient.original !== recipient.address) {
    lines.push(...addressField("Original-Recipient", recipient.original, utf8));
  }
  lines.push(...field("Action", options.action, utf8));
  lines.push(...field("Status", statusOf(outcome.dsn, options.action), utf8));
  if (outcome.remoteMta !== undefined) lines.push(...field("Remote-MTA", `dns; ${outcome.remoteMta}`, utf8));
  lines.push(...field("Diagnostic-Code", outcome.diagnostic ?? `X-Postfix; ${outcome.text}`, utf8));
  if (options.retryUntilMs !== undefined) {
    lines.push(...field("Will-Retry-Until", formatMailDate(options.retryUntilMs), utf8));
  }
  return lines;
}

/** A status that is none would make the whole part unreadable. */
function statusOf(dsn: string, action: "failed" | "delayed"): string {
  if (/^[245]\.\d{1,3}\.\d{1,3}$/.test(dsn)) return dsn;
  return action === "failed" ? "5.0.0" : "4.0.0";
}

function field(name: string, value: string, utf8: boolean): string[] {
  return fold(`${name}: ${oneLine(value, utf8)}`, FOLD_INDENT);
}

function addressField(name: string, address: Address, utf8: boolean): string[] {
  const external = formatAddress(address);
  const type = utf8 && /[^\x20-\x7e]/.test(external) ? "utf-8" : "rfc822";
  return field(name, `${type}; ${external}`, utf8);
}
