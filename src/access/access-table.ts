/** access/access-table.ts: searches one access(5) table under a list of keys and applies what it finds. A table that cannot
 *  answer is never "not found": its value is then `451 4.3.5 Server configuration error` (postfix.md §1.6). */
import { ParameterError, splitList } from "../config/declare.ts";
import type { Parameters } from "../config/parameters.ts";
import { printableAscii } from "../mail/printable.ts";
import { type Answer, type LookupTable, TableError } from "../tables/table.ts";
import type { RuleRef } from "./access.ts";
import { applyAction } from "./apply-action.ts";
import { LookupKeys } from "./lookup-keys.ts";
import { rejected, type Subject } from "./reply-text.ts";
import { type Context, DUNNO, type Outcome, type Services } from "./restriction.ts";

/** One table as it stands behind one check_*_access word. */
export class AccessTable {
  readonly #table: LookupTable;
  readonly #services: Services;
  readonly #ref: RuleRef;

  constructor(services: Services, rule: { readonly argument: string; readonly ref: RuleRef }) {
    this.#table = services.tables.open(rule.argument);
    this.#services = services;
    this.#ref = rule.ref;
  }

  get keys(): LookupKeys {
    return lookupKeysFor(this.#table, this.#services);
  }

  /** The outcome of the first key found; DUNNO when none is. Waits only for tables that make it wait. */
  check(keys: readonly string[], subject: Subject, context: Context): Outcome | Promise<Outcome> {
    const found = this.find(keys, subject, context);
    return found instanceof Promise ? found.then((outcome) => outcome ?? DUNNO) : (found ?? DUNNO);
  }

  /** As check(), but undefined when no key is found: an entry DUNNO is found. */
  find(keys: readonly string[], subject: Subject, context: Context): Found | Promise<Found> {
    return this.#from(0, keys, { subject, context });
  }

  #from(first: number, keys: readonly string[], scene: Scene): Found | Promise<Found> {
    for (let i = first; i < keys.length; i++) {
      const key = keys[i] ?? "";
      try {
        const answer = this.#table.get(key);
        if (answer instanceof Promise) return this.#wait(answer, i, keys, scene);
        if (answer !== undefined) return this.#found(answer, key, scene);
      } catch (error) {
        return this.#failed(error, key, scene);
      }
      scene.context.trace?.lookup(this.#table.ref, key, undefined);
    }
    return undefined;
  }

  async #wait(pending: Promise<Answer>, i: number, keys: readonly string[], scene: Scene): Promise<Found> {
    const key = keys[i] ?? "";
    let answer: Answer;
    try {
      answer = await pending;
    } catch (error) {
      return this.#failed(error, key, scene);
    }
    if (answer !== undefined) return this.#found(answer, key, scene);
    scene.context.trace?.lookup(this.#table.ref, key, undefined);
    return this.#from(i + 1, keys, scene);
  }

  #found(value: string, key: string, { subject, context }: Scene): Outcome {
    context.trace?.lookup(this.#table.ref, key, value);
    const finding = { value, table: this.#table.ref, key, subject, ref: this.#ref };
    const outcome = applyAction(finding, context, this.#services);
    if (!this.#isSuspicious(outcome, subject, context)) return outcome;
    context.trace?.remark("the address holds a route of its own: no permit counts");
    return withoutPermit(outcome);
  }

  /** An entry must not permit a recipient into which the sender wrote a route: where it ends is not what was looked up. */
  #isSuspicious({ kind }: Outcome, { replyClass }: Subject, { facts }: Context): boolean {
    if ((kind !== "permit" && kind !== "run") || replyClass !== "Recipient address") return false;
    const { params, resolver } = this.#services;
    if (facts.recipient === undefined || params.get("allow_untrusted_routing")) return false;
    return resolver.hasSenderRouting(resolver.rewrite(facts.recipient));
  }

  #failed(error: unknown, key: string, { subject, context }: Scene): Outcome {
    if (!(error instanceof TableError)) throw error;
    context.trace?.lookup(this.#table.ref, key, error);
    context.log.warning(
      `${this.#table.ref} lookup error for "${printableAscii(key)}": ${printableAscii(error.message)}`,
    );
    return { kind: "refuse", cause: "data", reply: rejected(451, "4.3.5", subject, "Server configuration error") };
  }
}

type Found = Outcome | undefined;

interface Scene {
  readonly subject: Subject;
  readonly context: Context;
}

/** The same outcome, but "go on" instead of "permit"; what it does to the message stays. */
function withoutPermit(outcome: Outcome): Outcome {
  if (outcome.kind === "run") return { ...outcome, permitted: () => DUNNO };
  const { effects, notices } = outcome;
  return { kind: "dunno", ...(effects && { effects }), ...(notices && { notices }) };
}

/** The two kinds of keys of one service. */
export function makeLookupKeys(params: Parameters): Services["lookupKeys"] {
  const options = {
    plainParents: wordsOf(params.text("parent_domain_matches_subdomains")).includes("smtpd_access_maps"),
    delimiter: params.text("recipient_delimiter"),
  };
  return {
    partial: new LookupKeys({ ...options, partialKeys: true }),
    whole: new LookupKeys({ ...options, partialKeys: false }),
  };
}

/** How the table wants its keys. Asked at each lookup: a file that was missing at first may be there by now. */
function lookupKeysFor(table: LookupTable, { lookupKeys }: Services): LookupKeys {
  return table.partialKeys ? lookupKeys.partial : lookupKeys.whole;
}

function wordsOf(text: string): readonly string[] {
  try {
    return splitList(text, "parent_domain_matches_subdomains");
  } catch (error) {
    if (error instanceof ParameterError) return []; // config/ has reported it; the strict reading is the safe one
    throw error;
  }
}
