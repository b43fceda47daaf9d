/** log/delivery-lines.ts: the text of qmgr's and the delivery agents' log lines, as Postfix writes them (postfix.md §7.2). */

import { type Address, formatAddress } from "../mail/address.ts";
import type { RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { Log } from "./log.ts";

/** Significant digits of a delay. */
const SIGNIFICANT = 2;

/** `QID: from=<s>, size=1234, nrcpt=2 (queue active)`. */
export function logActive(log: Log, envelope: Envelope, size: number, nrcpt: number): void {
  const from = shown(envelope.sender);
  log.info(`${envelope.queueId}: from=<${from}>, size=${size}, nrcpt=${nrcpt} (queue active)`, () => ({
    event: "active",
    from,
    size,
    nrcpt,
  }));
}

/** `QID: from=<s>, status=expired, returned to sender`. */
export function logExpired(log: Log, envelope: Envelope): void {
  const from = shown(envelope.sender);
  log.info(`${envelope.queueId}: from=<${from}>, status=expired, returned to sender`, () => ({
    event: "expired",
    from,
  }));
}

/** `QID: message-id=<…>`, as cleanup logs it of any mail that comes into the queue. */
export function logMessageId(log: Log, message: { readonly envelope: Envelope; readonly messageId: string }): void {
  const { messageId } = message;
  log.info(`${message.envelope.queueId}: message-id=${messageId}`, { event: "message_id", message_id: messageId });
}

/** One recipient's delivery. `status` differs from the outcome's kind for SOFTBOUNCE only. */
export interface DeliveryOptions {
  readonly envelope: Envelope;
  readonly recipient: { readonly address: Address; readonly original: Address };
  readonly outcome: RcptOutcome;
  readonly status: string;
  readonly activeMs: number;
  readonly nowMs: number;
  /** $delay_logging_resolution_limit. */
  readonly digits: number;
}

export function logDelivery(log: Log, options: DeliveryOptions): void {
  const { envelope, recipient, outcome, activeMs, digits } = options;
  const totalMs = Math.max(0, options.nowMs - envelope.arrivalMs);
  const beforeMs = Math.min(totalMs, Math.max(0, activeMs - envelope.arrivalMs));
  const waitMs = Math.max(0, totalMs - beforeMs - outcome.connectMs - outcome.transmitMs);
  const parts = [beforeMs, waitMs, outcome.connectMs, outcome.transmitMs].map((ms) => formatDelay(ms, digits));
  const same = recipient.original === "" || recipient.original.toLowerCase() === recipient.address.toLowerCase();
  const uses = outcome.connectionUse ?? 1;
  const delay = formatDelay(totalMs, digits);
  const text =
    `${envelope.queueId}: to=<${shown(recipient.address)}>, ${same ? "" : `orig_to=<${shown(recipient.original)}>, `}` +
    `relay=${outcome.relay}, ${uses > 1 ? `conn_use=${uses}, ` : ""}delay=${delay}, ` +
    `delays=${parts.join("/")}, dsn=${outcome.dsn}, status=${options.status} (${outcome.text})`;
  log.info(text, () => ({
    event: "delivery",
    to: shown(recipient.address),
    orig_to: same ? undefined : shown(recipient.original),
    relay: outcome.relay,
    conn_use: uses > 1 ? uses : undefined,
    delay: Number(delay),
    delays: parts.join("/"),
    dsn: outcome.dsn,
    status: options.status,
    response: outcome.text,
  }));
}

/** Seconds with two significant digits, at most `digits` behind the point, no trailing zeros; whole seconds from 10 on
 *  (format_tv()): 1234 → "1.2", 56 → "0.06", 12345 → "12". */
export function formatDelay(ms: number, digits: number): string {
  const seconds = Math.max(0, ms) / 1000;
  const magnitude = seconds === 0 ? 0 : Math.floor(Math.log10(seconds));
  const decimals = Math.max(0, Math.min(digits, SIGNIFICANT - 1 - magnitude));
  const scale = 10 ** decimals;
  return String(Math.round(seconds * scale) / scale);
}

/** External form, safe for a log line. */
function shown(address: Address): string {
  return printableUtf8(formatAddress(address));
}
