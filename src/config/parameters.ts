/** config/parameters.ts: typed, expanded reading of one scope: main.cf, or main.cf under one service's `-o` options.
 *  Values are expanded and parsed at first use and kept; a scope never changes. */
import { type Declaration, ParameterError } from "./declare.ts";
import { expand } from "./expand.ts";
import { type ParameterName, type ParameterValue, REGISTRY } from "./registry.ts";
import type { Assignment, FileImage, SourceRef } from "./snapshot.ts";

export interface ScopeInput {
  /** Later entries win: main.cf first, then the service's `-o`. */
  readonly assignments: readonly Assignment[];
  readonly builtins: ReadonlyMap<string, string>;
  /** By path; those that values stand in. */
  readonly files?: ReadonlyMap<string, FileImage>;
}

export class Parameters {
  readonly #set = new Map<string, Assignment>();
  readonly #builtins: ReadonlyMap<string, string>;
  readonly #files: ReadonlyMap<string, FileImage> | undefined;
  readonly #values = new Map<string, unknown>();
  readonly #texts = new Map<string, string>();

  constructor(input: ScopeInput) {
    this.#builtins = input.builtins;
    this.#files = input.files;
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

  /** Expanded text of any parameter, user-defined ones included; "" when nobody defines it. Of a parameter whose value may
   *  stand in a file, what that file says; its path where it cannot be read. */
  text(name: string): string {
    const known = this.#texts.get(name);
    if (known !== undefined) return known;
    const raw = this.unexpanded(name);
    // Not kept: whoever asks for names that nobody defines may ask for any number of them.
    if (raw === undefined) return "";
    const path = this.valuePath(name);
    const text = path === undefined ? this.expand(raw) : (firstLine(this.#files?.get(path)) ?? path);
    this.#texts.set(name, text);
    return text;
  }

  /** The file that the value stands in, as Debian has it: `myorigin = /etc/mailname`. */
  valuePath(name: string): string | undefined {
    const raw = IN_A_FILE.has(name) ? this.unexpanded(name) : undefined;
    const text = raw === undefined ? "" : this.expand(raw);
    return text.startsWith("/") ? text : undefined;
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

const IN_A_FILE: ReadonlySet<string> = new Set(["myorigin"]);

/** Without white space around it; "" for an empty file. */
function firstLine(image: FileImage | undefined): string | undefined {
  if (image === undefined || "error" in image) return undefined;
  return /^[^\n]*/.exec(new TextDecoder().decode(image.bytes))?.[0].trim();
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
