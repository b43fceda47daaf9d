/** bounce/compose.ts: makes non-delivery and delay notifications: multipart/report of a text, a delivery status and the
 *  returned message (RFC 3464, RFC 6522; postfix.md §6.2). Composes only: committing and logging are qmgr's.
 *  The sender of a report is null, so a report never causes another (RFC 5321 §4.5.5). */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, formatAddress, NULL_ADDRESS } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import type { ComposedMessage, MessageContent } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { deliveryStatusLines, type ReportedRecipient } from "./delivery-status.ts";
import { fold, oneLine } from "./fold.ts";
import { type ReturnedOriginal, readOriginal } from "./original.ts";

export interface OriginalMessage {
  readonly envelope: Envelope;
  readonly content: MessageContent;
}

export interface BounceComposer {
  /** The notification for recipients that failed for good; undefined when the original has the null sender. Rejects if
   *  the original cannot be read. */
  failure(input: {
    readonly message: OriginalMessage;
    /** At least one. */
    readonly failed: readonly ReportedRecipient[];
    /** Id of the new message. */
    readonly queueId: QueueId;
  }): Promise<ComposedMessage | undefined>;
  /** The warning that recipients are still being tried until `retryUntilMs`; returns headers only. */
  delayWarning(input: {
    readonly message: OriginalMessage;
    readonly delayed: readonly ReportedRecipient[];
    readonly queueId: QueueId;
    readonly retryUntilMs: number;
  }): Promise<ComposedMessage | undefined>;
}

/** RFC 2046 §5.1.1. */
const MAX_BOUNDARY_CHARS = 70;

export function createBounceComposer(options: { readonly params: Parameters; readonly clock: Clock }): BounceComposer {
  const { params, clock } = options;
  const site: Site = { hostname: params.text("myhostname"), mailName: params.text("mail_name") };
  const limitBytes = params.get("bounce_size_limit");
  const compose = async (report: Report): Promise<ComposedMessage | undefined> => {
    const { envelope, content } = report.message;
    if (envelope.sender === NULL_ADDRESS) return undefined;
    const wanted = report.action === "failed" ? "message" : "headers";
    const original = await readOriginal(content, { wanted, limitBytes });
    return assemble(report, { site, original, nowMs: clock.now() });
  };
  return {
    failure: ({ message, failed, queueId }) =>
      compose({ message, recipients: failed, queueId, action: "failed", retryUntilMs: undefined }),
    delayWarning: ({ message, delayed, queueId, retryUntilMs }) =>
      compose({ message, recipients: delayed, queueId, action: "delayed", retryUntilMs }),
  };
}

interface Site {
  readonly hostname: string;
  readonly mailName: string;
}

interface Report {
  readonly message: OriginalMessage;
  readonly recipients: readonly ReportedRecipient[];
  readonly queueId: QueueId;
  readonly action: "failed" | "delayed";
  readonly retryUntilMs: number | undefined;
}

interface Materials {
  readonly site: Site;
  readonly original: ReturnedOriginal;
  readonly nowMs: number;
}

function assemble(report: Report, materials: Materials): ComposedMessage {
  const { envelope } = report.message;
  const { site, original, nowMs } = materials;
  const utf8 = envelope.smtputf8;
  const eightBit = utf8 || original.has8bit;
  const epoch = Math.floor(nowMs / 1000);
  const boundary = `${report.queueId}.${epoch}/${site.hostname}`.slice(0, MAX_BOUNDARY_CHARS);
  const kind = utf8 ? "global-" : "";
  const head = [
    ...headerLines(report, materials, { boundary, eightBit }),
    "",
    "This is a MIME-encapsulated message.",
    "",
    `--${boundary}`,
    "Content-Description: Notification",
    `Content-Type: text/plain; charset=${utf8 ? "utf-8" : "us-ascii"}`,
    ...(utf8 ? ["Content-Transfer-Encoding: 8bit"] : []),
    "",
    ...notificationLines(report, materials),
    "",
    `--${boundary}`,
    "Content-Description: Delivery report",
    `Content-Type: message/${kind}delivery-status`,
    ...(utf8 ? ["Content-Transfer-Encoding: 8bit"] : []),
    "",
    ...deliveryStatusLines({ ...report, envelope, hostname: site.hostname }),
    "",
    `--${boundary}`,
    ...originalHeaderLines(original, utf8),
    "",
    `Return-Path: <${oneLine(formatAddress(envelope.sender), utf8)}>`,
  ];
  const newline = Buffer.from("\r\n");
  const gap = original.bytes.length === 0 || original.bytes.subarray(-2).equals(newline) ? "" : "\r\n";
  const content = Buffer.concat([
    Buffer.from(`${head.join("\r\n")}\r\n`, "utf8"),
    original.bytes,
    Buffer.from(`${gap}\r\n--${boundary}--\r\n`, "utf8"),
  ]);
  return { envelope: bounceEnvelope(report, { nowMs, eightBit }), recipients: [envelope.sender], content };
}

function headerLines(
  { message, queueId, action }: Report,
  { site, nowMs }: Materials,
  { boundary, eightBit }: { readonly boundary: string; readonly eightBit: boolean },
): string[] {
  const { sender, smtputf8 } = message.envelope;
  const subject = action === "failed" ? "Undelivered Mail Returned to Sender" : "Delayed Mail (still being retried)";
  const stamp = new Date(nowMs).toISOString().replace(/[^\d]/g, "").slice(0, 14);
  return [
    `Received: by ${site.hostname} (${site.mailName})`,
    `\tid ${queueId}; ${formatMailDate(nowMs)}`,
    `Date: ${formatMailDate(nowMs)}`,
    `From: Mail Delivery System <MAILER-DAEMON@${site.hostname}>`,
    `Subject: ${subject}`,
    `To: ${oneLine(formatAddress(sender), smtputf8)}`,
    "Auto-Submitted: auto-replied",
    "MIME-Version: 1.0",
    "Content-Type: multipart/report; report-type=delivery-status;",
    `\tboundary="${boundary}"`,
    ...(eightBit ? ["Content-Transfer-Encoding: 8bit"] : []),
    `Message-Id: <${stamp}.${queueId}@${site.hostname}>`,
  ];
}

function originalHeaderLines(original: ReturnedOriginal, utf8: boolean): string[] {
  const whole = original.kind === "message";
  const type = utf8
    ? whole
      ? "message/global"
      : "message/global-headers"
    : whole
      ? "message/rfc822"
      : "text/rfc822-headers";
  return [
    `Content-Description: Undelivered Message${whole ? "" : " Headers"}`,
    `Content-Type: ${type}`,
    ...(original.has8bit || utf8 ? ["Content-Transfer-Encoding: 8bit"] : []),
  ];
}

function notificationLines(report: Report, { site, original, nowMs }: Materials): string[] {
  const utf8 = report.message.envelope.smtputf8;
  const returned =
    original.kind === "message" ? "Your message is attached" : "The headers of your message are attached";
  const opening =
    report.action === "failed"
      ? ["I'm sorry to have to tell you that your message could not be", "delivered to the recipients listed below."]
      : [
          "This is only a warning: you need not send your message again.",
          "It could not be delivered to the recipients listed below so far.",
          `We keep trying until ${formatMailDate(report.retryUntilMs ?? nowMs)}.`,
        ];
  const lines = [
    `This is the mail system at host ${site.hostname}.`,
    "",
    ...opening,
    `${returned}.`,
    "",
    "If you need help, please write to postmaster and include this report;",
    "you may leave out your own text from the attached message.",
  ];
  for (const { recipient, outcome } of report.recipients) {
    lines.push("", ...fold(oneLine(reasonLine(recipient, outcome.text), utf8), "    "));
  }
  return lines;
}

function reasonLine({ address, original }: { address: Address; original: Address }, text: string): string {
  const expanded = original !== "" && original !== address ? ` (expanded from <${formatAddress(original)}>)` : "";
  return `<${formatAddress(address)}>${expanded}: ${text}`;
}

function bounceEnvelope(
  { message, queueId }: Report,
  { nowMs, eightBit }: { readonly nowMs: number; readonly eightBit: boolean },
): Envelope {
  return {
    queueId,
    sender: NULL_ADDRESS,
    arrivalMs: nowMs,
    smtputf8: message.envelope.smtputf8,
    body: eightBit ? "8BITMIME" : "7BIT",
    origin: {
      clientName: "localhost",
      clientAddress: "127.0.0.1",
      helo: undefined,
      protocol: "SMTP",
      service: "bounce",
    },
  };
}
