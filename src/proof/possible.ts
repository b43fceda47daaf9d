/** proof/possible.ts: what a list may do to one candidate, and how it came to that. More than one of permit, next and refuse
 *  means: what happens depends on something that cannot be seen from here. */
import type { RuleRef } from "../access/access.ts";

/** Something that the proof could not look into. */
export interface Unseen {
  /** "mysql:/etc/postern/senders.cf", "policy server inet:127.0.0.1:10023", "DNS list dnswl.example". */
  readonly what: string;
  /** Table references, as postern_trusted_relay_tables names them. */
  readonly tables: readonly string[];
  /** The client chooses the key that is looked up there: HELO, sender, his own PTR. */
  readonly clientChooses: boolean;
}

export interface Step {
  readonly rule: RuleRef;
  readonly word: string;
  readonly says: "permits" | "goes on" | "refuses" | "only warns";
  /** Why, for people: `mynetworks holds 0.0.0.0/0`. "" where the word says it. */
  readonly why: string;
  readonly unseen: Unseen | undefined;
}

/** Steps that mattered, the last first. */
export interface Path {
  readonly step: Step;
  readonly before: Path | undefined;
}

/** undefined: cannot happen. "start": without any step that mattered. */
export interface Possible {
  readonly permit?: Path | undefined;
  readonly next?: Path | "start" | undefined;
  readonly refuse?: Path | undefined;
}

/** In order of evaluation. */
export function stepsOf(path: Path | "start" | undefined): readonly Step[] {
  const steps: Step[] = [];
  for (let at = path === "start" ? undefined : path; at !== undefined; at = at.before) steps.push(at.step);
  return steps.reverse();
}

/** The path with one step more. */
export function extended(path: Path | "start", step: Step): Path {
  return { step, before: path === "start" ? undefined : path };
}
