/** proof/lists.ts: runs compiled lists for one candidate over sets of what may happen, in the order of access/evaluator.ts:
 *  any refusal refuses, a permit ends its own list only. Answers are kept: rules that look at the same part of two
 *  candidates are asked once. */
import type { RuleRef, Stage } from "../access/access.ts";
import type { Outcome, Rule } from "../access/restriction.ts";
import { answerOf, isSameForAll, partOf } from "./answer.ts";
import { extended, type Path, type Possible, type Step, stepsOf } from "./possible.ts";
import type { Answer, World } from "./question.ts";
import { RCPT_STAGES, type RcptStage } from "./reachable.ts";
import type { Candidate, ClientClass, Scene } from "./scenario.ts";

/** As in access/walk.ts: beyond these the server refuses. */
const MAX_DEPTH = 100;
const MAX_STEPS = 10_000;

export type Lists = Readonly<Record<Stage, readonly Rule[]>>;

/** Answers by rule, then by the part that the rule looks at. */
type Known = Map<Rule, Map<unknown, Answer>>;

/** What the cells of one service find out together. */
export interface Shared {
  /** Which kinds of client come to a rule. */
  readonly reached: Map<Rule, Set<ClientClass>>;
  /** Rules that strangers come to with a recipient elsewhere. */
  readonly strangersElsewhere: Set<Rule>;
  readonly known: Known;
  readonly ids: Map<readonly Rule[], number>;
}

export function newShared(): Shared {
  return { reached: new Map(), strangersElsewhere: new Set(), known: new Map(), ids: new Map() };
}

/** What the lists do to one candidate. */
export interface Outlook {
  /** "always": let through, whatever cannot be seen says. */
  readonly verdict: "always" | "maybe" | "never";
  /** The lists in order, up to the one that refuses. */
  readonly lists: readonly { readonly stage: RcptStage; readonly possible: Possible }[];
}

export class ListRunner {
  readonly #world: World;
  readonly #lists: Lists;
  readonly #scene: Scene;
  readonly #shared: Shared;
  readonly #known: Known = new Map();
  #steps = 0;

  constructor(world: World, lists: Lists, scene: Scene, shared: Shared) {
    this.#world = world;
    this.#lists = lists;
    this.#scene = scene;
    this.#shared = shared;
  }

  async outlook(candidate: Candidate): Promise<Outlook> {
    this.#steps = 0;
    const lists: { stage: RcptStage; possible: Possible }[] = [];
    let verdict: Outlook["verdict"] = "always";
    for (const stage of RCPT_STAGES) {
      if (stage === "helo" && candidate.helo === undefined) continue; // no HELO, no list
      const possible = await this.#run(this.#lists[stage], { candidate, stage, warnOnly: false, depth: 1 });
      lists.push({ stage, possible });
      if (possible.permit === undefined && possible.next === undefined) return { verdict: "never", lists };
      if (possible.refuse !== undefined) verdict = "maybe";
    }
    return { verdict, lists };
  }

  /** A number that stands for a list. */
  idOf(rules: readonly Rule[]): number {
    const { ids } = this.#shared;
    const id = ids.get(rules) ?? ids.size;
    ids.set(rules, id);
    return id;
  }

  /** What one rule says to one candidate. */
  async answer(rule: Rule, stage: Stage, candidate: Candidate): Promise<Answer> {
    const part = partOf(rule);
    const value = part === undefined ? undefined : candidate[part];
    const all = isSameForAll(rule) ? this.#shared.known : this.#known;
    let answers = all.get(rule);
    if (answers === undefined) {
      answers = new Map();
      all.set(rule, answers);
    }
    const known = answers.get(value);
    if (known !== undefined) return known;
    const answer = await answerOf({ rule, stage, scene: this.#scene, candidate }, this.#world);
    answers.set(value, answer);
    return answer;
  }

  async #run(rules: readonly Rule[], frame: Frame): Promise<Possible> {
    let next: Path | "start" = "start";
    let permit: Path | undefined;
    let refuse: Path | undefined;
    let warnNext = false;
    for (const rule of rules) {
      this.#note(rule);
      const inner: Frame = { ...frame, warnOnly: frame.warnOnly || warnNext };
      const answer = await this.answer(rule, frame.stage, frame.candidate);
      warnNext = answer.warnNext === true;
      if (warnNext) continue;
      const said = await this.#ruleSays(rule, answer, inner);
      permit ??= said.permit && joined(next, said.permit);
      refuse ??= said.refuse && joined(next, said.refuse);
      if (said.next === undefined) return { permit, refuse };
      next = said.next === "start" ? next : joined(next, said.next);
    }
    return { permit, next, refuse };
  }

  #note(rule: Rule): void {
    const { reached, strangersElsewhere } = this.#shared;
    const { client, destination } = this.#scene;
    const elsewhere = destination === "foreign" || destination === "named";
    if (elsewhere && (client === "stranger" || client === "strangerTls")) strangersElsewhere.add(rule);
    const clients = reached.get(rule);
    if (clients) clients.add(client);
    else reached.set(rule, new Set([client]));
  }

  async #ruleSays(rule: Rule, answer: Answer, frame: Frame): Promise<Possible> {
    if (frame.depth > MAX_DEPTH || ++this.#steps > MAX_STEPS) {
      return { refuse: stepOf(rule, { refuse: "hard", why: "unreasonable restriction recursion" }, "refuses") };
    }
    const itself = this.#saysItself(rule, answer, frame);
    if (answer.run === undefined) return itself;
    const inside = await this.#nested(rule, answer, frame);
    return {
      permit: inside.permit ?? itself.permit,
      next: inside.next ?? itself.next,
      refuse: inside.refuse ?? itself.refuse,
    };
  }

  #saysItself(rule: Rule, answer: Answer, frame: Frame): Possible {
    const softened = answer.refuse === "policy" && frame.warnOnly;
    const seen = answer.unseen === undefined;
    const passes = softened ? stepOf(rule, answer, "only warns") : seen ? "start" : stepOf(rule, answer, "goes on");
    return {
      permit: answer.permit ? stepOf(rule, answer, "permits") : undefined,
      next: answer.next || softened ? passes : undefined,
      refuse: answer.refuse && !softened ? stepOf(rule, answer, "refuses") : undefined,
    };
  }

  /** A class, or a list from a table; `permitted` says what a permit in it becomes. */
  async #nested(rule: Rule, answer: Answer, frame: Frame): Promise<Possible> {
    const run = answer.run as Extract<Outcome, { kind: "run" }>;
    const inside = await this.#run(run.rules, { ...frame, depth: frame.depth + 1 });
    if (run.permitted === undefined || inside.permit === undefined) return inside;
    const instead = run.permitted();
    if (instead.kind === "refuse") return { next: inside.next, refuse: inside.refuse ?? inside.permit };
    return { next: inside.next ?? stepOf(rule, answer, "goes on"), refuse: inside.refuse };
  }
}

interface Frame {
  readonly candidate: Candidate;
  readonly stage: RcptStage;
  readonly warnOnly: boolean;
  readonly depth: number;
}

function stepOf(rule: { readonly ref: RuleRef; readonly word: string }, answer: Answer, says: Step["says"]): Path {
  const { why = "", unseen } = answer;
  return { step: { rule: rule.ref, word: rule.word, says, why, unseen }, before: undefined };
}

/** The steps of `tail` behind those of `head`. */
function joined(head: Path | "start", tail: Path): Path {
  let path: Path | "start" = head;
  for (const step of stepsOf(tail)) path = extended(path, step);
  return path as Path; // a tail has a step
}
