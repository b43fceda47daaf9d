/** mail/dsn.ts: what a client asks about delivery reports: RET and ENVID for a message, NOTIFY and ORCPT for a recipient
 *  (RFC 3461 §4). Values are decoded; xtext is mail/xtext.ts. */

export type NotifyCondition = "NEVER" | "SUCCESS" | "FAILURE" | "DELAY";

/** Of MAIL. */
export interface MessageDsn {
  /** How much of the message a report of failure returns. */
  readonly ret?: "FULL" | "HDRS" | undefined;
  /** Decoded and printable. */
  readonly envid?: string | undefined;
}

/** Of RCPT. */
export interface RecipientDsn {
  /** At least one; NEVER stands alone. undefined: the client did not say, which means FAILURE and perhaps DELAY. */
  readonly notify?: readonly NotifyCondition[] | undefined;
  /** "rfc822;user@example.org", type as given, address decoded and printable. */
  readonly orcpt?: string | undefined;
}

/** Whether the client wants a report for this reason. Without NOTIFY: of failure and of delay (RFC 3461 §4.1). */
export function isWanted(dsn: RecipientDsn | undefined, condition: "SUCCESS" | "FAILURE" | "DELAY"): boolean {
  return dsn?.notify === undefined ? condition !== "SUCCESS" : dsn.notify.includes(condition);
}

/** The same wishes, and a report of delay, unless there is to be none at all. */
export function withDelay(dsn: RecipientDsn | undefined): RecipientDsn | undefined {
  if (dsn?.notify === undefined || dsn.notify.includes("NEVER") || dsn.notify.includes("DELAY")) return dsn;
  return { ...dsn, notify: [...dsn.notify, "DELAY"] };
}
