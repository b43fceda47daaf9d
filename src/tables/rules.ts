/** tables/rules.ts: ordered rule lists with `if … endif`, as cidr, regexp and pcre tables have them. The first match answers.
 *  A bad rule is skipped with a warning that names its line, as in Postfix. A bad IF is not: without its condition the rules
 *  behind it would hold for everybody, so it makes the table unusable. */
import type { SourceLine } from "./source-lines.ts";
import { type Answer, TableError } from "./table.ts";

/** What a value may refer to (`$1` is index 1); undefined for no match. */
export type Groups = readonly string[] | undefined;

/** A compiled condition. A promise only where a pattern runs in another thread; rejects TableError. */
export type Condition = (key: string) => Groups | Promise<Groups>;

export interface ShownRule {
  readonly pattern: string;
  readonly value: string;
}

/** One parsed line. */
export type Rule =
  | {
      readonly kind: "value";
      readonly when: Condition;
      readonly value: (groups: readonly string[]) => string;
      /** As written, for proof. */
      readonly shown: ShownRule;
    }
  | { readonly kind: "if"; readonly when: Condition }
  | { readonly kind: "endif" };

/** A rule that Postfix has and that cannot be done here: to skip it would change what the table means. */
export class UnusableRule extends TableError {}

export interface RuleSource {
  readonly lines: readonly SourceLine[];
  /** "regexp map /etc/postern/checks"; the line is added here. */
  readonly where: string;
  /** Throws TableError with the reason only: the line is skipped; UnusableRule: the table is refused. */
  readonly parse: (text: string, warn: (why: string) => void) => Rule;
  readonly warn: (text: string) => void;
}

type Step =
  | Extract<Rule, { kind: "value" }>
  | {
      readonly kind: "if";
      readonly when: Condition;
      readonly line: number /** Index behind its endif. */;
      end: number;
    };

export interface CompiledRules {
  readonly get: (key: string) => Answer | Promise<Answer>;
  readonly rules: readonly ShownRule[];
}

/** Compiles the lines. Throws TableError when the table cannot be used. */
export function compileRules(source: RuleSource): CompiledRules {
  const steps: Step[] = [];
  const open: Extract<Step, { kind: "if" }>[] = [];
  for (const { text, line } of source.lines) {
    const warn = (why: string) => source.warn(`${source.where}, line ${line}: ${why}`);
    const rule = parseRule(text, { source, line, warn });
    if (rule === undefined) continue;
    if (rule.kind === "value") steps.push(rule);
    else if (rule.kind === "if") {
      const step = { ...rule, line, end: -1 };
      steps.push(step);
      open.push(step);
    } else {
      const step = open.pop();
      if (step) step.end = steps.length;
      else warn("ignoring ENDIF without matching IF");
    }
  }
  for (const step of open) {
    source.warn(`${source.where}, line ${step.line}: IF has no matching ENDIF`);
    step.end = steps.length;
  }
  return {
    get: (key) => evaluate(steps, key, 0),
    rules: steps.flatMap((step) => (step.kind === "value" ? [step.shown] : [])),
  };
}

function parseRule(
  text: string,
  at: { readonly source: RuleSource; readonly line: number; readonly warn: (why: string) => void },
): Rule | undefined {
  try {
    return at.source.parse(text, at.warn);
  } catch (cause) {
    if (!(cause instanceof TableError)) throw cause;
    const where = `${at.source.where}, line ${at.line}`;
    if (cause instanceof UnusableRule) throw new TableError(`${where}: ${cause.message}`, { cause });
    if (/^if\b/i.test(text)) throw new TableError(`${where}: bad IF: ${cause.message}`, { cause });
    at.warn(cause.message.startsWith("ignoring ") ? cause.message : `${cause.message}: skipping this rule`);
    return undefined;
  }
}

function evaluate(steps: readonly Step[], key: string, from: number): Answer | Promise<Answer> {
  for (let at = from; at < steps.length; ) {
    const step = steps[at];
    if (step === undefined) break;
    const groups = step.when(key);
    if (groups instanceof Promise) {
      const here = at;
      return groups.then((found) => {
        if (found && step.kind === "value") return step.value(found);
        return evaluate(steps, key, step.kind === "if" && !found ? step.end : here + 1);
      });
    }
    if (groups && step.kind === "value") return step.value(groups);
    at = step.kind === "if" && !groups ? step.end : at + 1;
  }
  return undefined;
}
