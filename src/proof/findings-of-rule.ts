/** proof/findings-of-rule.ts: takes what one restriction looks up and says it in one line: `mynetworks (main.cf:7) holds
 *  0.0.0.0/0`, `texthash:/etc/postern/senders says OK for "example.com"`. */
import type { LookupTrace, Told } from "../tables/lookup-trace.ts";

interface Found {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

export class Findings implements LookupTrace {
  #found: Found | undefined;
  #remark = "";

  lookup<T>(source: string, key: string, told: T, show?: (told: T) => Told): void {
    const said = show === undefined ? plain(told) : show(told);
    if (said.result === "found") this.#found = { source, key, value: said.value };
  }

  remark(text: string): void {
    this.#remark = text;
  }

  /** "" if nothing was found. */
  why(
    { rule }: { readonly rule: { readonly word: string } },
    { placeOf }: { readonly placeOf: (parameter: string) => string },
  ): string {
    const found = this.#found;
    if (found === undefined) return this.#remark;
    if (rule.word === "permit_mynetworks") {
      return `mynetworks (${placeOf("mynetworks")}) holds ${found.value.replace(/^in /, "")}`;
    }
    if (!found.source.includes(":")) return "";
    return `${found.source} says ${found.value} for ${found.key}`;
  }
}

function plain(told: unknown): Told {
  if (typeof told === "string") return { result: "found", value: told };
  return { result: "not found", value: "" };
}
