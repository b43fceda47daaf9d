/** proof/question.ts: what the proof asks of one restriction, and in which form it is answered. Types only. */
import type { Stage } from "../access/access.ts";
import type { Outcome, Rule, Services } from "../access/restriction.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import type { Unseen } from "./possible.ts";
import type { Candidate, Scene } from "./scenario.ts";
import type { Values } from "./sight.ts";

/** Any of permit, next and refuse may come, or `run`: a list follows. */
export interface Answer {
  readonly permit?: boolean;
  readonly next?: boolean;
  /** "policy": warn_if_reject makes a warning of it. */
  readonly refuse?: "policy" | "hard" | undefined;
  readonly run?: Extract<Outcome, { kind: "run" }> | undefined;
  readonly warnNext?: boolean;
  readonly why?: string;
  readonly unseen?: Unseen | undefined;
}

export interface World {
  readonly services: Services;
  readonly mynetworks: AddressList;
  /** "main.cf:7" of a parameter. */
  readonly placeOf: (parameter: string) => string;
  /** Tables with more keys than are tried. */
  readonly capped: ReadonlySet<string>;
  readonly values: Values;
}

export interface Question {
  readonly rule: Rule;
  readonly stage: Stage;
  readonly scene: Scene;
  readonly candidate: Candidate;
}
