/** smtpd/result.ts: what a command hands back to the dialogue loop: values only, no socket. */

import { type Reply, reply } from "../mail/reply.ts";
import type { WaitResult } from "../net/connection.ts";

/** Why the client can no longer be talked to. */
export type Lost = Exclude<WaitResult, "ready">;

export type HandlerResult =
  /** `tolerated`: a refusal that does not count as an error of the client. */
  | { readonly kind: "reply"; readonly reply: Reply; readonly tolerated?: boolean }
  | { readonly kind: "close"; readonly reply: Reply }
  | { readonly kind: "startTls"; readonly reply: Reply }
  /** Another client than before (XCLIENT): the greeting comes again. */
  | { readonly kind: "greetAgain" }
  /** The connection ended, or fell silent, inside the command. */
  | { readonly kind: "lost"; readonly why: Lost };

export function replyWith(r: Reply): HandlerResult {
  return { kind: "reply", reply: r };
}

/** Shorthand for the many one-line answers. */
export function answer(code: number, dsn: string | undefined, text: string): HandlerResult {
  return { kind: "reply", reply: reply(code, dsn, text) };
}

export function lost(why: Lost): HandlerResult {
  return { kind: "lost", why };
}
