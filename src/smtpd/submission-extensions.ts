/** smtpd/submission-extensions.ts: FUTURERELEASE, DELIVERBY and MT-PRIORITY: which of them a client may use now. Only a
 *  submission service has them (RFC 4865 §4, RFC 6409 §7), only for clients that it knows by a login or by a list, and not
 *  where a before-queue filter takes the message: nothing is queued here then. DELIVERBY is also there behind TLS. */
import { formatUtcTime } from "../mail/date.ts";
import type { Session } from "./session.ts";
import type { OfferedSubmission } from "./submission-parameters.ts";

/** undefined: none of them. */
export function offeredSubmission(session: Session): OfferedSubmission | undefined {
  const { options, settings, user, tls } = session;
  if (options.role !== "submission" || options.filter !== undefined) return undefined;
  const known = user !== undefined || session.extensionClient === true;
  if (!known && tls === undefined) return undefined;
  const { futureReleaseMaxMs, deliverByMinMs, priority } = settings.submission;
  return {
    nowMs: options.clock.now(),
    futureRelease:
      known && futureReleaseMaxMs > 0 && session.keeps("FUTURERELEASE") ? { maxMs: futureReleaseMaxMs } : undefined,
    deliverBy: deliverByMinMs !== undefined && session.keeps("DELIVERBY") ? { minMs: deliverByMinMs } : undefined,
    priority: known && priority && session.keeps("MT-PRIORITY"),
  };
}

/** What EHLO announces of it. */
export function submissionLines(session: Session): readonly string[] {
  const offered = offeredSubmission(session);
  if (offered === undefined) return [];
  const { nowMs, futureRelease, deliverBy, priority } = offered;
  const lines: string[] = [];
  if (futureRelease) {
    lines.push(`FUTURERELEASE ${futureRelease.maxMs / 1000} ${formatUtcTime(nowMs + futureRelease.maxMs)}`);
  }
  if (deliverBy) lines.push(deliverBy.minMs > 0 ? `DELIVERBY ${deliverBy.minMs / 1000}` : "DELIVERBY");
  if (priority) lines.push(`MT-PRIORITY ${session.settings.submission.priorityProfile}`.trimEnd());
  return lines;
}
