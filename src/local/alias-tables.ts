/** local/alias-tables.ts: what a table of alias_maps may not do (local(8), SECURITY): put text of the address, which anybody writes,
 *  into file names and commands, as $1 in the result of a pattern does. */
import { type LookupTable, TableError } from "../tables/table.ts";

/** The rule that substitutes; undefined: none does. */
export function substitutingRule({ rules }: LookupTable): string | undefined {
  return rules?.find(({ value }) => /\$(?:\d|[{(]\d+[})])/.test(value.replaceAll("$$", "")))?.value;
}

/** The same table, or one that cannot answer: its mail waits. */
export function withoutSubstitution(table: LookupTable): LookupTable {
  const rule = substitutingRule(table);
  if (rule === undefined) return table;
  return {
    ...{ ref: table.ref, partialKeys: table.partialKeys },
    get() {
      throw new TableError(`${table.ref}: "${rule}": regular expression substitution is not allowed`);
    },
  };
}
