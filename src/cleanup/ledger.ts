/** cleanup/ledger.ts: what was done to a message on its way in, as events (RFC 5321 §6.4; MOD-13). Stages hand over the fields
 *  before and after; a field that a stage leaves alone is the same object. Received, which every message gets, is no change.
 *  Bounded: MOST events, the rest is counted. */
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import type { Change, Changes } from "../mail/envelope.ts";
import { printableAscii } from "../mail/printable.ts";
import type { HeaderField } from "./header-block.ts";

const MOST = 32;
/** Characters of each text. */
const MOST_TEXT = 160;

/** Who changes something, and on whose order. */
export interface Occasion {
  /** `missing`, `not in the form of RFC 5322: …`. */
  readonly why: string;
  /** The word of main.cf. */
  readonly rule: string;
}

export class Ledger {
  readonly #changes: Change[] = [];
  #omitted = 0;

  record(what: string, { why, rule }: Occasion): void {
    if (this.#changes.length >= MOST) this.#omitted++;
    else this.#changes.push({ what: cut(what), why: cut(why), rule: cut(rule) });
  }

  /** Fields that came, went or were replaced. A header may have very many: what nearly all stages do to it, replacing some or
   *  leaving some out, costs one comparison for each. */
  compare(before: readonly HeaderField[], after: readonly HeaderField[], occasion: Occasion): void {
    if (before === after) return;
    const shorter = Math.min(before.length, after.length);
    let from = 0;
    while (from < shorter && before[from] === after[from]) from++;
    let same = 0;
    while (same < shorter - from && before.at(-1 - same) === after.at(-1 - same)) same++;
    const old = before.slice(from, before.length - same);
    const now = after.slice(from, after.length - same);
    if (now.length === 0) for (const field of old) this.#note(field, "removed", occasion);
    else if (old.length === now.length && old.every(({ name }, i) => name === now[i]?.name)) {
      for (const [i, field] of old.entries()) if (field !== now[i]) this.#note(field, "replaced", occasion);
    } else this.#differ(old, now, occasion);
  }

  #differ(before: readonly HeaderField[], after: readonly HeaderField[], occasion: Occasion): void {
    const kept = new Set(after);
    const had = new Set(before);
    const added = after.filter((field) => !had.has(field));
    const unpaired = new Map<string, number>();
    for (const { name } of added) unpaired.set(name, (unpaired.get(name) ?? 0) + 1);
    for (const old of before) {
      if (kept.has(old)) continue;
      const left = unpaired.get(old.name) ?? 0;
      if (left > 0) unpaired.set(old.name, left - 1);
      this.#note(old, left > 0 ? "replaced" : "removed", occasion);
    }
    for (const field of added) {
      const left = unpaired.get(field.name) ?? 0;
      if (left === 0) continue;
      unpaired.set(field.name, left - 1);
      this.#note(field, "added", occasion);
    }
  }

  #note(field: HeaderField, what: "added" | "removed" | "replaced", occasion: Occasion): void {
    if (this.#changes.length >= MOST) this.#omitted++;
    else this.record(`${nameOf(field)} ${what}`, occasion);
  }

  /** undefined: nothing was touched. */
  get changes(): Changes | undefined {
    if (this.#changes.length === 0) return undefined;
    return { list: [...this.#changes], ...(this.#omitted > 0 && { omitted: this.#omitted }) };
  }
}

/** `QID: changes: …`, if anything was changed. */
export function logChanges(
  ledger: Ledger,
  queueId: string,
  deps: { readonly params: Parameters; readonly log: Log },
): void {
  const { changes } = ledger;
  if (changes === undefined || !deps.params.get("postern_log_changes")) return;
  const text = formatChanges(changes);
  deps.log.info(`${queueId}: changes: ${text}`, { event: "changes", changes: text });
}

/** One line: `Date added (missing; rule); …`. */
function formatChanges({ list, omitted }: Changes): string {
  const texts = list.map(({ what, why, rule }) => `${what} (${why}; ${rule})`);
  return [...texts, ...(omitted === undefined ? [] : [`${omitted} more`])].join(", ");
}

function nameOf({ name, text }: HeaderField): string {
  const colon = text.indexOf(":");
  return colon > 0 ? text.slice(0, colon).trimEnd() : name;
}

function cut(text: string): string {
  return printableAscii(text.replace(/\s+/g, " ")).slice(0, MOST_TEXT);
}
