/** access/ccert.ts: what the restrictions about client certificates have in common. */
import type { Context, Services } from "./restriction.ts";

/** Warns that no client can ever show the certificate that the restriction waits for. */
export function warnUnlessCcertAsked(restriction: string, { params }: Services, { log }: Context): void {
  const asked = ["smtpd_tls_ask_ccert", "smtpd_tls_req_ccert"].some(
    (name) => params.text(name).toLowerCase() === "yes",
  );
  if (!asked) log.warning(`${restriction} is requested, but "smtpd_tls_ask_ccert = no"`);
}
