/** proof/sight.ts: into which tables the proof can look, and what their values may do. Asks no server: a table that lives
 *  in one is never looked up here. */
import { parseAction } from "../access/action.ts";
import type { LookupTable, TableOpener } from "../tables/table.ts";

/** `static:` and `fail:` have neither keys nor rules, and hide nothing. A broken table refuses everybody, which is seen too. */
export function canSee(table: LookupTable): boolean {
  return table.entries !== undefined || table.rules !== undefined || isStatic(table) || neverAnswers(table);
}

/** Every lookup fails, so that whoever is looked up is refused for now. */
export function neverAnswers({ problem, ref }: LookupTable): boolean {
  return problem !== undefined || /^(?:proxy:)*fail:/.test(ref);
}

/** The tables of a list of references into which one cannot look. */
export function unseenAmong(refs: readonly string[], tables: TableOpener): readonly string[] {
  return refs.filter((ref) => !canSee(tables.open(ref)));
}

/** Keys or patterns, with their values; none for tables without. */
export function* pairsOf(table: LookupTable): Generator<readonly [key: string, value: string]> {
  if (table.entries) yield* table.entries;
  for (const { pattern, value } of table.rules ?? []) yield [pattern, value];
}

/** Every value that the table can give; only for tables one can see. */
export function* valuesOf(table: LookupTable): Generator<string> {
  for (const [, value] of pairsOf(table)) yield value;
  if (table.entries || table.rules || !isStatic(table)) return;
  const value = table.get("");
  if (typeof value === "string") yield value;
}

/** What values do, read once each: a table of 20000 entries has few different ones. */
export class Values {
  readonly #effects = new Map<string, Effect>();

  effectOf(value: string): Effect {
    const known = this.#effects.get(value);
    if (known !== undefined) return known;
    const effect = readEffect(value);
    if (this.#effects.size >= MAX_KEPT) this.#effects.clear();
    this.#effects.set(value, effect);
    return effect;
  }
}

const MAX_KEPT = 10_000;

export interface Effect {
  /** Values with the same text do the same to a list. */
  readonly text: string;
  /** OK, a list, or text that the client has a hand in. */
  readonly mayPermit: boolean;
  /** Ends every list for good, so no client wants it. */
  readonly refuses: boolean;
  /** A restriction list. */
  readonly list: string | undefined;
}

const PERMITTING: ReadonlySet<string> = new Set(["permit", "empty", "list"]);
const REFUSING: ReadonlySet<string> = new Set(["reject", "defer", "code", "hangup", "discard"]);

function readEffect(value: string): Effect {
  const action = parseAction(value);
  const list = action.kind === "list" ? action.text : undefined;
  return {
    text: list === undefined ? action.kind : `list ${list}`,
    mayPermit: PERMITTING.has(action.kind) || value.startsWith("$"),
    refuses: REFUSING.has(action.kind),
    list,
  };
}

function isStatic({ ref }: LookupTable): boolean {
  return /^(?:proxy:)*static:/.test(ref);
}

/** The table of a restriction's argument; `{ type:table { … } }` too. */
export function tableOf(argument: string): string {
  return /^\{\s*([^\s,{}]+)/.exec(argument)?.[1] ?? argument;
}
