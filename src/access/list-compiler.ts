/** access/list-compiler.ts: turns restriction lists into rules, once per configuration. Whatever cannot work becomes a rule
 *  that answers 451 4.3.5, so a broken list never lets anybody through, and a Problem that says where (postfix.md §1.1). */
import { splitList } from "../config/declare.ts";
import { ParameterError } from "../config/parameters.ts";
import type { Problem, SourceRef } from "../config/snapshot.ts";
import { printableAscii } from "../mail/printable.ts";
import type { RuleRef, Stage } from "./access.ts";
import { makeLookupKeys } from "./access-table.ts";
import { CONFIGURATION_ERROR } from "./reply-text.ts";
import type { ArgumentKind, Outcome, Rule, Services, ValueOrigin } from "./restriction.ts";
import { findWord } from "./words.ts";

/** The word that a bare `type:table` stands for; undefined where it must be said. */
const BARE_TABLE_WORD: Readonly<Record<Stage, string | undefined>> = {
  client: "check_client_access",
  helo: "check_helo_access",
  sender: "check_sender_access",
  relay: "check_recipient_access",
  recipient: "check_recipient_access",
  etrn: "check_etrn_access",
  data: undefined,
  end_of_data: undefined,
};

interface ArgumentForm {
  readonly fits: RegExp;
  /** Postfix's complaint about what follows the word. */
  readonly complaint: (word: string, next: string) => string;
}

const ARGUMENT_FORM: Readonly<Record<Exclude<ArgumentKind, "none">, ArgumentForm>> = {
  table: { fits: /:/, complaint: (word, next) => `restriction ${word}: bad argument "${next}": need maptype:mapname` },
  service: { fits: /:/, complaint: (word) => `restriction ${word} must be followed by transport:server` },
  domain: { fits: /./, complaint: (word) => `restriction ${word} requires domain name argument` },
  // The only such word is sleep.
  text: { fits: /./, complaint: (word) => `restriction ${word} must be followed by number` },
};

/** Table values that are lists are kept compiled, this many of them. */
const MAX_CACHED_VALUES = 1000;

interface Place {
  readonly parameter: string;
  readonly stage: Stage;
  readonly at: SourceRef | undefined;
  /** Where rules say they stand, if not `at`: lists found in tables. */
  readonly label?: string;
}

export class ListCompiler {
  readonly #services: Services;
  readonly #problems: Problem[] = [];
  readonly #classNames: ReadonlySet<string>;
  /** By "stage/name": a bare table in a class means what the calling list means by it. */
  readonly #classes = new Map<string, Rule[]>();
  readonly #values = new Map<string, readonly Rule[]>();
  #atRunTime = false;

  constructor(services: Omit<Services, "compileValue" | "lookupKeys">) {
    this.#services = {
      ...services,
      lookupKeys: makeLookupKeys(services.params),
      compileValue: (value, origin) => this.#compileValue(value, origin),
    };
    this.#classNames = new Set(this.#read("smtpd_restriction_classes") ?? []);
  }

  get services(): Services {
    return this.#services;
  }

  /** Problems found so far, each once. What table values hold is logged instead: they may change at any time. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Compiles the list of one parameter. */
  compileParameter(parameter: string, stage: Stage): readonly Rule[] {
    const place = { parameter, stage, at: this.#services.params.source(parameter) };
    const tokens = this.#read(parameter);
    return tokens === undefined ? [this.#unreadable(parameter, place)] : this.#compile(tokens, place);
  }

  /** From now on complaints go to the log. */
  finish(): void {
    this.#atRunTime = true;
  }

  #unreadable(parameter: string, place: Place): Rule {
    return this.#broken(parameter, place, `parameter ${parameter} cannot be read`);
  }

  /** Words of a list parameter; undefined, with a problem, if it cannot be read. */
  #read(parameter: string): readonly string[] | undefined {
    const { params } = this.#services;
    try {
      return splitList(params.text(parameter), parameter);
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      this.#complain(error.message, { parameter, stage: "client", at: params.source(parameter) });
      return undefined;
    }
  }

  #compile(tokens: readonly string[], place: Place): readonly Rule[] {
    const rules: Rule[] = [];
    for (let i = 0; i < tokens.length; ) {
      const token = tokens[i] ?? "";
      const made = this.#rule(token, tokens[i + 1], place);
      rules.push(made.rule);
      i += made.used;
      if (made.rule.word === "permit" && i < tokens.length) {
        this.#complain(`restriction \`${tokens[i]}' after \`permit' is ignored`, place, "warning");
        break;
      }
    }
    return rules;
  }

  #rule(token: string, next: string | undefined, place: Place): { readonly rule: Rule; readonly used: number } {
    const found = findWord(token);
    if (found.kind === "removed") {
      const reason = `support for restriction "${token}" has been removed in Postfix 3.9; instead, use ${found.instead}`;
      return { rule: this.#broken(token, place, reason), used: 1 };
    }
    if (found.kind === "word") {
      if (found.word.argument === "none") return { rule: this.#make(token, "", place), used: 1 };
      const form = ARGUMENT_FORM[found.word.argument];
      if (next !== undefined && form.fits.test(next)) return { rule: this.#make(token, next, place), used: 2 };
      const reason = form.complaint(token, next ?? "");
      return { rule: this.#broken(token, place, reason), used: 2 };
    }
    if (token.includes(":")) return { rule: this.#bareTable(token, place), used: 1 };
    return { rule: this.#classRule(token, place), used: 1 };
  }

  #bareTable(token: string, place: Place): Rule {
    const name = BARE_TABLE_WORD[place.stage];
    if (name !== undefined && findWord(name).kind === "word") return this.#make(name, token, place);
    const words = "check_client_access, check_helo_access, check_sender_access, check_recipient_access";
    return this.#broken(token, place, `specify one of (${words}) before ${place.parameter} restriction "${token}"`);
  }

  #make(name: string, argument: string, place: Place): Rule {
    const found = findWord(name);
    if (found.kind !== "word") return this.#broken(name, place, `unknown smtpd restriction: "${name}"`);
    const ref = refOf(argument === "" ? name : `${name} ${argument}`, place);
    try {
      const evaluate = found.word.build(this.#services, { argument, ref });
      return { ref, word: found.word.names[0], argument: argument === "" ? undefined : argument, evaluate };
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      return this.#broken(ref.text, place, error.message);
    }
  }

  /** A class, also written `$class`; or a word that nobody knows. */
  #classRule(token: string, place: Place): Rule {
    const name = token.replace(/^\$/, "");
    if (!this.#classNames.has(name)) {
      return this.#broken(token, place, `unknown smtpd restriction: "${token}"`);
    }
    const rules = this.#classRules(name, place.stage);
    const outcome: Outcome = { kind: "run", rules };
    return { ref: refOf(token, place), word: "class", argument: name, evaluate: () => outcome, rules };
  }

  /** The array is registered before it is filled, so a class may name itself; the evaluator bounds the depth. */
  #classRules(name: string, stage: Stage): readonly Rule[] {
    const key = `${stage}/${name}`;
    const known = this.#classes.get(key);
    if (known) return known;
    const rules: Rule[] = [];
    this.#classes.set(key, rules);
    const { params } = this.#services;
    const at = params.source(name);
    const place = { parameter: name, stage, at };
    if (params.unexpanded(name) === undefined) {
      const from = { ...place, at: params.source("smtpd_restriction_classes") };
      rules.push(this.#broken(name, from, `restriction class \`${name}' needs a definition`));
      return rules;
    }
    const tokens = this.#read(name);
    rules.push(...(tokens === undefined ? [this.#unreadable(name, place)] : this.#compile(tokens, place)));
    return rules;
  }

  #compileValue(value: string, { stage, ref }: ValueOrigin): readonly Rule[] {
    const key = `${stage}/${ref.parameter}/${ref.text}/${value}`;
    const known = this.#values.get(key);
    if (known) return known;
    const place = { parameter: ref.parameter, stage, at: undefined, label: ref.at };
    if (this.#values.size >= MAX_CACHED_VALUES) this.#values.clear();
    const rules = this.#compile(this.#splitValue(value), place);
    this.#values.set(key, rules);
    return rules;
  }

  #splitValue(value: string): readonly string[] {
    try {
      return splitList(value, "access table value");
    } catch (error) {
      if (error instanceof ParameterError) return [value]; // one unknown word: 451 4.3.5
      throw error;
    }
  }

  /** A rule that answers 451 4.3.5 and logs why, each time; the reason is also a problem of the configuration. */
  #broken(text: string, place: Place, reason: string): Rule {
    const outcome: Outcome = { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
    this.#complain(reason, place);
    const warning = printableAscii(reason);
    return {
      ref: refOf(text, place),
      word: "error",
      argument: undefined,
      evaluate: () => {
        this.#services.log.warning(warning);
        return outcome;
      },
    };
  }

  #complain(text: string, place: Place, severity: Problem["severity"] = "error"): void {
    const problem: Problem = { severity, at: place.at, text: `${place.parameter}: ${printableAscii(text)}` };
    if (this.#atRunTime) {
      if (severity === "warning") this.#services.log.warning(problem.text); // a broken rule logs for itself
      return;
    }
    const same = (known: Problem) =>
      known.text === problem.text && known.at?.line === place.at?.line && known.at?.file === place.at?.file;
    if (!this.#problems.some(same)) this.#problems.push(problem);
  }
}

function refOf(text: string, { parameter, at, label }: Place): RuleRef {
  return { text, at: label ?? whereOf(at), parameter };
}

/** "main.cf:31", or "default". */
export function whereOf(at: SourceRef | undefined): string {
  return at === undefined ? "default" : `${at.file.slice(at.file.lastIndexOf("/") + 1)}:${at.line}`;
}
