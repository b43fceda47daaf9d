/** master/session-notices.ts: mails the postmaster transcripts of SMTP sessions in which something went wrong
 *  (notify_classes), through the maildrop, as any mail of this machine. So many an hour, that nobody can flood him. */
import type { Clock } from "../base/clock.ts";
import { fold, oneLine } from "../bounce/fold.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { DropFile } from "../pickup/drop-file.ts";
import { formatSubmission } from "../pickup/submission.ts";
import { type SessionNotice, type SessionNotices, TROUBLE_CLASSES } from "../smtpd/transcript.ts";

/** Of one service in one worker. */
const NOTICES_PER_HOUR = 60;
const HOUR_MS = 3_600_000;
/** As Postfix's INDENT. */
const INDENT = "    ";

export interface SessionNoticesParts {
  readonly maildrop: string;
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly log: Log;
}

/** undefined: notify_classes names none of the classes that sessions have, and nothing is kept of them. */
export function createSessionNotices(params: Parameters, parts: SessionNoticesParts): SessionNotices | undefined {
  const named = new Set(params.get("notify_classes"));
  const classes = new Set(TROUBLE_CLASSES.filter((word) => named.has(word)));
  if (classes.size === 0) return undefined;
  const hour = { endsMs: 0, sent: 0 };
  return {
    classes,
    flushLines: params.get("smtpd_history_flush_threshold"),
    send(notice) {
      const nowMs = parts.clock.monotonic();
      if (nowMs >= hour.endsMs) Object.assign(hour, { endsMs: nowMs + HOUR_MS, sent: 0 });
      if (++hour.sent === NOTICES_PER_HOUR + 1)
        parts.log.warning("postmaster notify: too many; none until the hour is over");
      if (hour.sent > NOTICES_PER_HOUR) return;
      try {
        drop(params, parts, notice);
      } catch (error) {
        parts.log.warning(`postmaster notify: ${printableUtf8((error as Error).message)}`);
      }
    },
  };
}

/** Throws the file system's error. */
function drop(params: Parameters, { maildrop, clock }: SessionNoticesParts, notice: SessionNotice): void {
  const sender = asAddress(`${params.get("double_bounce_sender")}@${params.text("myhostname")}`);
  const recipient = asAddress(params.get("error_notice_recipient"));
  const submission = formatSubmission({ sender, recipients: [recipient], notify: ["NEVER"] });
  if (submission === undefined) throw new Error("not an address");
  const file = new DropFile(maildrop);
  try {
    file.write(submission);
    file.write(Buffer.from(formatSessionNotice(params, notice, clock.now())));
    file.complete();
  } catch (error) {
    file.abandon();
    throw error;
  }
}

/** The mail, lines ending in LF (smtpd_chat.c, smtpd_chat_notify). */
export function formatSessionNotice(params: Parameters, notice: SessionNotice, nowMs: number): string {
  const { peer, lines, reason } = notice;
  const head = [
    "From: MAILER-DAEMON (Mail Delivery System)",
    `To: ${params.get("error_notice_recipient")} (Postmaster)`,
    `Subject: ${params.text("mail_name")} SMTP server: errors from ${oneLine(peer, false)}`,
    `Date: ${formatMailDate(nowMs)}`,
    "Auto-Submitted: auto-generated",
  ];
  const transcript = lines.flatMap(wrapped);
  const aborted = reason === undefined ? [] : [`Session aborted, reason: ${reason}`];
  const body = ["Transcript of session follows.", "", ...transcript, "", ...aborted, ""];
  return `${[...head, "", ...body, "For other details, see the local mail logfile"].join("\n")}\n`;
}

/** The mark and its blanks stay as they are. */
function wrapped(line: string): readonly string[] {
  const mark = /^(?:In: {2}|Out: )/.exec(line)?.[0] ?? "";
  const [first = "", ...rest] = fold(oneLine(line.slice(mark.length), false), INDENT);
  return [`${mark}${first}`, ...rest];
}
