/** access/trace.ts: the course of one evaluation: which restrictions ran, what they looked up, what came of it. Recording
 *  keeps references in rows that are used again; text is made only of a trace that somebody wants. Decides nothing. */
import { printableUtf8 } from "../mail/printable.ts";
import type { LookupTrace, Told } from "../tables/lookup-trace.ts";
import type { Lookup, RuleRef, Stage, StepResult, TraceStep } from "./access.ts";
import { NotAsked } from "./not-asked.ts";

/** What is recorded of one evaluation at most; what is beyond is counted. */
const MAX_STEPS = 500;
const MAX_LOOKUPS = 500;
/** Characters of all lookups of one trace, and of one key or value. */
const MAX_TOTAL_CHARS = 32_768;
const MAX_CHARS = 1500;
/** Traces that a service keeps for the next evaluations. */
const MAX_SPARE = 16;

interface StepRow {
  stage: Stage;
  rule: RuleRef;
  result: StepResult;
  depth: number;
  /** Lookups recorded when the step ended. */
  lookups: number;
}

interface LookupRow {
  source: string;
  /** undefined: a remark. */
  key: string | undefined;
  told: unknown;
  show: ((told: never) => Told) | undefined;
}

/** Where the evaluation is: `depth` lists run inside each other. */
interface Place {
  readonly stage: Stage;
  readonly depth: number;
}

export class Trace implements LookupTrace {
  readonly #steps: StepRow[] = [];
  readonly #lookups: LookupRow[] = [];
  #stepCount = 0;
  #lookupCount = 0;
  #dropped = 0;

  clear(): void {
    this.#stepCount = 0;
    this.#lookupCount = 0;
    this.#dropped = 0;
  }

  lookup<T>(source: string, key: string, told: T, show?: (told: T) => Told): void {
    this.#add(source, key, told, show as LookupRow["show"]);
  }

  remark(text: string): void {
    this.#add(text, undefined, undefined, undefined);
  }

  /** The lookups since the last step were this one's. */
  step({ stage, depth: lists }: Place, rule: RuleRef, result: StepResult): void {
    if (this.#stepCount >= MAX_STEPS) {
      this.#dropped++;
      return;
    }
    const row = this.#steps[this.#stepCount++];
    const lookups = this.#lookupCount;
    const depth = Math.max(0, lists - 1);
    if (row === undefined) {
      this.#steps.push({ stage, rule, result, depth, lookups });
      return;
    }
    row.stage = stage;
    row.rule = rule;
    row.result = result;
    row.depth = depth;
    row.lookups = lookups;
  }

  /** The trace so far, as values of their own. */
  steps(): readonly TraceStep[] {
    const budget = { chars: MAX_TOTAL_CHARS, dropped: this.#dropped };
    const steps: TraceStep[] = [];
    let from = 0;
    for (let i = 0; i < this.#stepCount; i++) {
      const row = this.#steps[i];
      if (row === undefined) break;
      const { stage, rule, result, depth } = row;
      steps.push({ stage, rule, result, depth, lookups: this.#shown(from, row.lookups, budget) });
      from = row.lookups;
    }
    const last = steps.at(-1);
    if (budget.dropped === 0 || last === undefined) return steps;
    const note: Lookup = { source: `${budget.dropped} more are not shown`, key: "", result: "remark", value: "" };
    return [...steps.slice(0, -1), { ...last, lookups: [...last.lookups, note] }];
  }

  #add(source: string, key: string | undefined, told: unknown, show: LookupRow["show"]): void {
    if (this.#lookupCount >= MAX_LOOKUPS) {
      this.#dropped++;
      return;
    }
    const row = this.#lookups[this.#lookupCount++];
    if (row === undefined) {
      this.#lookups.push({ source, key, told, show });
      return;
    }
    row.source = source;
    row.key = key;
    row.told = told;
    row.show = show;
  }

  #shown(from: number, to: number, budget: { chars: number; dropped: number }): readonly Lookup[] {
    const shown: Lookup[] = [];
    for (const row of this.#lookups.slice(from, to)) {
      if (budget.chars <= 0) {
        budget.dropped++;
        continue;
      }
      const lookup = inWords(row);
      budget.chars -= lookup.source.length + lookup.key.length + lookup.value.length;
      shown.push(lookup);
    }
    return shown;
  }
}

function inWords({ source, key, told, show }: LookupRow): Lookup {
  if (key === undefined) return { source: bounded(source), key: "", result: "remark", value: "" };
  const { result, value } = show === undefined ? tellPlainly(told) : show(told as never);
  return { source: bounded(source), key: bounded(key), result, value: bounded(value) };
}

function tellPlainly(told: unknown): Told {
  if (told instanceof NotAsked) return { result: "not asked", value: "" };
  if (told instanceof Error) return { result: "error", value: told.message };
  return told === undefined ? { result: "not found", value: "" } : { result: "found", value: String(told) };
}

function bounded(text: string): string {
  return printableUtf8(text).slice(0, MAX_CHARS);
}

/** `texthash:/x "a@b" -> "REJECT"`, `dns MX b.test -> 10 mail.b.test`: quotes around what stands in tables. */
export function formatLookup({ source, key, result, value }: Lookup): string {
  if (result === "remark") return source;
  const isTable = source.includes(":");
  const asked = isTable ? `${source} "${key}"` : `${source} ${key}`.trimEnd();
  if (result === "found") return `${asked} -> ${isTable ? `"${value}"` : value}`;
  if (result === "error") return `${asked} -> error: ${value}`;
  return `${asked} -> ${value || result}`;
}

/** Traces to record in, used again. */
export class TracePool {
  readonly #spare: Trace[] = [];

  take(): Trace {
    return this.#spare.pop() ?? new Trace();
  }

  /** Whatever was recorded is forgotten. */
  give(trace: Trace): void {
    trace.clear();
    if (this.#spare.length < MAX_SPARE) this.#spare.push(trace);
  }
}
