/** proof/sight.ts: into which tables the proof can look, and what their values may do. Asks no server: a table that lives
 *  in one is never looked up here. */
import { parseAction } from "../access/action.ts";
import type { LookupTable, TableOpener } from "../tables/table.ts";

/** `static:` has neither keys nor rules, and hides nothing. A broken table refuses everybody, which is seen too. */
export function canSee(table: LookupTable): boolean {
  return table.entries !== undefined || table.rules !== undefined || table.problem !== undefined || isStatic(table);
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

/** OK, a list, or text that the client has a hand in. */
export function mayPermit(value: string): boolean {
  const { kind } = parseAction(value);
  return kind === "permit" || kind === "empty" || kind === "list" || value.startsWith("$");
}

/** Ends every list for good, so no client wants it. */
export function alwaysRefuses(value: string): boolean {
  const { kind } = parseAction(value);
  return kind === "reject" || kind === "defer" || kind === "code" || kind === "hangup" || kind === "discard";
}

function isStatic({ ref }: LookupTable): boolean {
  return /^(?:proxy:)*static:/.test(ref);
}

/** The table of a restriction's argument; `{ type:table { … } }` too. */
export function tableOf(argument: string): string {
  return /^\{\s*([^\s,{}]+)/.exec(argument)?.[1] ?? argument;
}
