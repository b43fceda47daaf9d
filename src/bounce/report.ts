/** bounce/report.ts: puts one report together: multipart/report of a text, a delivery status and the returned message
 *  (RFC 3464, RFC 6522, RFC 6533; postfix.md §6.2). Who gets which report is decided in notices.ts. */
import { type Address, asAddress, formatAddress, NULL_ADDRESS } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import type { ComposedMessage, MessageContent } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { sentMs } from "../mail/future-release.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { deliveryStatusLines, type ReportedRecipient, type ReportKind } from "./delivery-status.ts";
import { fold, oneLine } from "./fold.ts";
import { messageIdOf, type ReturnedOriginal, readOriginal } from "./original.ts";
import { isUtf8, type Template } from "./template.ts";

export interface OriginalMessage {
  readonly envelope: Envelope;
  readonly content: MessageContent;
}

/** What is the same for all reports of this configuration. */
export interface Site {
  readonly hostname: string;
  readonly mailName: string;
  /** For addresses without domain. */
  readonly origin: string;
  /** Most bytes of the original that are returned. */
  readonly limitBytes: number;
  readonly threaded: boolean;
  /** Age at which mail is given up. */
  readonly lifetimeMs: number;
}

export interface ReportOrder {
  readonly kind: ReportKind;
  readonly message: OriginalMessage;
  /** At least one. */
  readonly recipients: readonly ReportedRecipient[];
  /** Envelope sender and recipient of the report. */
  readonly from: Address;
  readonly to: Address;
  /** For the postmaster, without the text of the template. */
  readonly postmaster: boolean;
  readonly returned: "message" | "headers";
  readonly template: Template;
  /** The template's, expanded. */
  readonly text: readonly string[];
  /** Id of the report. */
  readonly queueId: QueueId;
  readonly nowMs: number;
}

/** RFC 2046 §5.1.1. */
const MAX_BOUNDARY_CHARS = 70;

interface Parts {
  readonly order: ReportOrder;
  readonly site: Site;
  readonly original: ReturnedOriginal;
  readonly boundary: string;
  readonly notification: Notification;
  readonly eightBit: boolean;
}

/** Rejects if the original cannot be read. */
export async function composeReport(order: ReportOrder, site: Site): Promise<ComposedMessage> {
  const { envelope, content } = order.message;
  const original = await readOriginal(content, { wanted: order.returned, limitBytes: site.limitBytes });
  const epoch = Math.floor(order.nowMs / 1000);
  const boundary = `${order.queueId}.${epoch}/${site.hostname}`.slice(0, MAX_BOUNDARY_CHARS);
  const notification = notificationOf(order);
  const eightBit = envelope.smtputf8 || original.has8bit || notification.has8bit;
  const parts: Parts = { order, site, original, boundary, notification, eightBit };
  return { envelope: envelopeOf(parts), recipients: [order.to], content: contentOf(parts) };
}

function contentOf(parts: Parts): Buffer {
  const { order, boundary, original, notification } = parts;
  const utf8 = order.message.envelope.smtputf8;
  const newline = Buffer.from("\r\n");
  const gap = original.bytes.length === 0 || original.bytes.subarray(-2).equals(newline) ? "" : "\r\n";
  return Buffer.concat([
    bytesOf([
      ...headerLines(parts),
      "",
      "This is a MIME-encapsulated message.",
      "",
      `--${boundary}`,
      "Content-Description: Notification",
      `Content-Type: text/plain; charset=${notification.charset}`,
      ...(notification.has8bit ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
    ]),
    notification.bytes,
    bytesOf([
      "",
      `--${boundary}`,
      "Content-Description: Delivery report",
      `Content-Type: message/${utf8 ? "global-" : ""}delivery-status`,
      ...(utf8 ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
      ...statusLines(parts),
      "",
      `--${boundary}`,
      ...originalHeaderLines(parts, utf8),
      "",
      `Return-Path: <${oneLine(formatAddress(senderOf(parts)), utf8)}>`,
    ]),
    original.bytes,
    Buffer.from(`${gap}\r\n--${boundary}--\r\n`),
  ]);
}

function bytesOf(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(""), "utf8");
}

function headerLines({ order, site, boundary, eightBit, original }: Parts): string[] {
  const { queueId, nowMs, template, postmaster, to } = order;
  const stamp = new Date(nowMs).toISOString().replace(/[^\d]/g, "").slice(0, 14);
  const date = formatMailDate(nowMs);
  const thread = site.threaded ? messageIdOf(original) : undefined;
  return [
    `Received: by ${site.hostname} (${site.mailName})`,
    `\tid ${queueId}; ${date}`,
    `Date: ${date}`,
    `From: ${qualified(template.from, site.origin)}`,
    `Subject: ${(postmaster ? template.postmasterSubject : undefined) ?? template.subject}`,
    `To: ${oneLine(formatAddress(to), order.message.envelope.smtputf8)}`,
    `Auto-Submitted: ${postmaster ? "auto-generated" : "auto-replied"}`,
    "MIME-Version: 1.0",
    "Content-Type: multipart/report; report-type=delivery-status;",
    `\tboundary="${boundary}"`,
    ...(eightBit ? ["Content-Transfer-Encoding: 8bit"] : []),
    `Message-Id: <${stamp}.${queueId}@${site.hostname}>`,
    ...(thread === undefined ? [] : [`References: ${thread}`, `In-Reply-To: ${thread}`]),
  ];
}

/** Completes an address without domain, as cleanup does with header fields: `A (name)` and `name <A>`. */
function qualified(from: string, origin: string): string {
  const bare = /^([^\s<>@()",]+)(\s*\([^()]*\))?$/.exec(from);
  if (bare) return `${bare[1]}@${origin}${bare[2] ?? ""}`;
  return from.replace(/<([^<>@\s]+)>$/, `<$1@${origin}>`);
}

function statusLines({ order, site }: Parts): string[] {
  const { kind, message, recipients } = order;
  const retryUntilMs = kind === "delayed" ? sentMs(message.envelope) + site.lifetimeMs : undefined;
  const sender = senderOf({ order, site });
  return deliveryStatusLines({
    kind,
    recipients,
    envelope: message.envelope,
    hostname: site.hostname,
    retryUntilMs,
    sender,
  });
}

/** Reports name the null sender as Postfix does. */
function senderOf({ order, site }: Pick<Parts, "order" | "site">): Address {
  const { sender } = order.message.envelope;
  return sender === NULL_ADDRESS ? asAddress(`MAILER-DAEMON@${site.origin}`) : sender;
}

function originalHeaderLines({ order, original }: Parts, utf8: boolean): string[] {
  const whole = original.kind === "message";
  const plainType = whole ? "message/rfc822" : "text/rfc822-headers";
  const utf8Type = whole ? "message/global" : "message/global-headers";
  const undelivered = order.kind === "success" || order.kind === "verify" ? "" : "Undelivered ";
  return [
    `Content-Description: ${undelivered}Message${whole ? "" : " Headers"}`,
    `Content-Type: ${utf8 ? utf8Type : plainType}`,
    ...(original.has8bit || utf8 ? ["Content-Transfer-Encoding: 8bit"] : []),
  ];
}

interface Notification {
  readonly charset: string;
  readonly bytes: Buffer;
  readonly has8bit: boolean;
}

/** The text in the template's character set. Addresses and reasons are Unicode only where that set is. */
function notificationOf({ template, text, postmaster, recipients, message, kind }: ReportOrder): Notification {
  const smtputf8 = message.envelope.smtputf8;
  const charset = smtputf8 && template.charset === "us-ascii" ? "utf-8" : template.charset;
  const unicode = charset === "us-ascii" || isUtf8({ ...template, charset });
  const lines = postmaster ? [] : [...text];
  for (const { recipient, outcome } of recipients) {
    const told = kind === "success" || (kind === "verify" && outcome.kind === "sent");
    const reason = told ? successText(outcome) : outcome.text;
    lines.push("", ...fold(oneLine(reasonLine(recipient, reason), smtputf8 && unicode), "    "));
  }
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n`, unicode ? "utf8" : "latin1");
  return { charset, bytes, has8bit: smtputf8 || bytes.some((byte) => byte > 0x7f) };
}

function successText({ relay, text, dsnAction }: ReportedRecipient["outcome"]): string {
  return dsnAction === "expanded" ? text : `delivery via ${relay}: ${text}`;
}

function reasonLine({ address, original }: { address: Address; original: Address }, text: string): string {
  const same = original === "" || original.toLowerCase() === address.toLowerCase();
  return `<${formatAddress(address)}>${same ? "" : ` (expanded from <${formatAddress(original)}>)`}: ${text}`;
}

function envelopeOf({ order, eightBit }: Parts): Envelope {
  return {
    queueId: order.queueId,
    sender: order.from,
    arrivalMs: order.nowMs,
    smtputf8: order.message.envelope.smtputf8,
    body: eightBit ? "8BITMIME" : "7BIT",
    // RFC 8689 §5, and what its sender thought of TLS holds for the way back.
    requireTls: order.message.envelope.requireTls,
    tlsOptional: order.message.envelope.tlsOptional,
    ...(order.message.envelope.priority !== undefined && { priority: order.message.envelope.priority }),
    origin: {
      clientName: "localhost",
      clientAddress: "127.0.0.1",
      helo: undefined,
      protocol: "SMTP",
      service: "bounce",
    },
  };
}
