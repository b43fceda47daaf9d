/** test/postfix/differences.ts: where Postern answers or logs otherwise than the Postfix it is compared with, each with its
 *  reason. The run fails on a difference that is not here, and on an entry that covers nothing any more. Operators read the
 *  same list in docs/coming-from-postfix.md. */

export interface Allowed {
  /** Short, for the report. */
  readonly id: string;
  readonly kind: "reply" | "log";
  /** Of `group/service: title`; unset: anywhere. */
  readonly where?: RegExp;
  /** Both texts whole; a log line has no date and tag. `(nothing)`: this side has no such line. */
  readonly covers: (postfix: string, postern: string) => boolean;
  readonly reason: string;
}

export const DIFFERENCES: readonly Allowed[] = [];
