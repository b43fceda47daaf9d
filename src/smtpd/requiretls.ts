/** smtpd/requiretls.ts: REQUIRETLS (RFC 8689 §2): who may ask that a message travel by proven TLS only. Never in clear; and not
 *  where a before-queue filter takes the message, because nothing is known of its way from there. */
import type { Session } from "./session.ts";

export function offersRequireTls(session: Session): boolean {
  const { options, settings, tls } = session;
  if (tls === undefined || settings.requireTls === "no" || options.filter !== undefined) return false;
  return (settings.requireTls === "yes" || options.role === "submission") && session.keeps("REQUIRETLS");
}
