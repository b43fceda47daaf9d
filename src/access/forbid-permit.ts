/** access/forbid-permit.ts: restrictions whose table must not say OK, because who is checked chooses the name under which
 *  the table is searched (postfix.md §1.6). */
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { CONFIGURATION_ERROR } from "./reply-text.ts";
import type { Outcome } from "./restriction.ts";

/** For the warning: the restriction as written, and what it was asked about. */
export interface Forbidden {
  readonly restriction: string;
  readonly target: string;
  readonly log: Log;
}

/** The outcome, with `permit` turned into 451 4.3.5, also inside a list that the table names. DISCARD may stay. */
export function forbidPermit(outcome: Outcome, forbidden: Forbidden): Outcome {
  if (outcome.kind === "run") return { ...outcome, permitted: () => refusal(forbidden) };
  if (outcome.kind !== "permit" || outcome.effects?.some(({ kind }) => kind === "discard")) return outcome;
  return refusal(forbidden);
}

function refusal({ restriction, target, log }: Forbidden): Outcome {
  log.warning(`restriction ${restriction} returns OK for ${printableAscii(target)}`);
  log.warning("this is not allowed for security reasons");
  log.warning("use DUNNO instead of OK if you want to make an exception");
  return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
}
