/** config/parameters.ts: typed, expanded reading of one scope: main.cf, or main.cf under one service's `-o` options.
 *  Values are expanded and parsed at first use and kept; a scope never changes. */
import { type Declaration, ParameterError } from "./declare.ts";
import { expand } from "./expand.ts";
import { type ParameterName, type ParameterValue, REGISTRY } from "./registry.ts";
import type { Assignment, SourceRef } from "./snapshot.ts";

export interface ScopeInput {
  /** Later entries win: main.cf first, then the service's `-o`. */
  readonly assignments: readonly Assignment[];
  readonly builtins: ReadonlyMap<string, string>;
}

export class Parameters {
  readonly #set = new Map<string, Assignment>();
  readonly #builtins: ReadonlyMap<string, string>;
  readonly #values = new Map<string, unknown>();
  readonly #texts = new Map<string, string>();

  constructor(input: ScopeInput) {
    this.#builtins = input.builtins;
    for (const assignment of input.assignments) this.#set.set(assignment.name, assignment);
  }

  /** The parsed value. Throws ParameterError for a bad one; `check` and reload have read every value before sessions do. */
  get<N extends ParameterName>(name: N): ParameterValue<N> {
    if (!this.#values.has(name)) {
      const declaration: Declaration<unknown> = REGISTRY[name];
      const text = declaration.raw ? (this.unexpanded(name) ?? "") : this.text(name);
      this.#values.set(name, declaration.parse(text, name));
    }
    return this.#values.get(name) as ParameterValue<N>;
  }

  /** Expanded text of any parameter, user-defined ones included; "" when nobody defines it. */
  text(name: string): string {
    const known = this.#texts.get(name);
    if (known !== undefined) return known;
    const raw = this.unexpanded(name);
    // Not kept: whoever asks for names that nobody defines may ask for any number of them.
    if (raw === undefined) return "";
    const text = this.expand(raw);
    this.#texts.set(name, text);
    return text;
  }

  /** Text as written or the default as declared; undefined when nobody defines the name. */
  unexpanded(name: string): string | undefined {
    const set = this.#set.get(name);
    if (set) return set.value;
    const builtin = this.#builtins.get(name);
    if (builtin !== undefined) return builtin;
    return declarationOf(name)?.default;
  }

  /** Expands `$name` and friends of any text in this scope. Throws ParameterError on bad syntax. */
  expand(text: string): string {
    return expand(text, (name) => this.unexpanded(name));
  }

  /** Where the name was set; undefined when the default applies. */
  source(name: string): SourceRef | undefined {
    return this.#set.get(name)?.at;
  }

  /** `<transport>_<suffix>` if set, else `default_<suffix>`; parsed as the default's declaration says. */
  forTransport<N extends ParameterName>(transport: string, suffix: string, fallback: N): ParameterValue<N> {
    const name = `${transport}_${suffix}`;
    if (this.unexpanded(name) === undefined) return this.get(fallback);
    const declaration: Declaration<unknown> = REGISTRY[fallback];
    return declaration.parse(this.text(name), name) as ParameterValue<N>;
  }
}

/** The declaration of a name, if it is declared at all. */
function declarationOf(name: string): Declaration<unknown> | undefined {
  return Object.hasOwn(REGISTRY, name) ? REGISTRY[name as ParameterName] : undefined;
}

/** A scope from plain text, for tests and for the demo: keys are parameter names, values main.cf text. */
export function parametersOf(settings: Readonly<Record<string, string>>): Parameters {
  const at = { file: "main.cf", line: 1 };
  return new Parameters({
    assignments: Object.entries(settings).map(([name, value]) => ({ name, value, at })),
    builtins: new Map([["myhostname", "mail.example.org"]]),
  });
}

export { ParameterError };
