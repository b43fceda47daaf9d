/** policy/answer-reader.ts: reads one answer, line by line: `name=value` lines and an empty one. Strict where it decides and
 *  tolerant where Postfix is (attr_scan_plain.c): the first `action` counts, anything else is passed over and told.
 *  States: reading → ended; a reader is used once. */

/** Lines and characters of one answer; a server that sends more is not one. */
const MAX_LINES = 100;
const MAX_CHARS = 16 * 1024;

export type AnswerStep =
  | { readonly kind: "more" }
  | { readonly kind: "answer"; readonly action: string }
  /** `why` in Postfix's words, with `from X` added by the caller. */
  | { readonly kind: "malformed"; readonly why: string };

const MORE: AnswerStep = { kind: "more" };

export class AnswerReader {
  #action: string | undefined;
  #unexpected: string | undefined;
  #lines = 0;
  #chars = 0;

  /** The first attribute that was passed over, for a warning. */
  get unexpected(): string | undefined {
    return this.#unexpected;
  }

  /** Takes one line without its end. */
  push(line: string): AnswerStep {
    this.#lines++;
    this.#chars += line.length;
    if (this.#lines > MAX_LINES || this.#chars > MAX_CHARS) return { kind: "malformed", why: "answer too long" };
    if (line === "") return this.#end();
    const equals = line.indexOf("=");
    const name = equals < 0 ? line : line.slice(0, equals);
    if (name !== "action" || this.#action !== undefined) {
      this.#unexpected ??= name.slice(0, 100);
      return MORE;
    }
    if (equals < 0) return { kind: "malformed", why: "missing value for string attribute action" };
    this.#action = line.slice(equals + 1);
    return MORE;
  }

  /** An empty action would permit everything (access(5)); from a policy server that can only be a mistake. */
  #end(): AnswerStep {
    if (this.#action === undefined) return { kind: "malformed", why: "missing attribute action in input" };
    if (this.#action.trim() === "") return { kind: "malformed", why: "empty attribute action in input" };
    return { kind: "answer", action: this.#action };
  }
}
