/** smtp/first-value.ts: lookups in a list of tables, as most parameters of the client name one. */
import type { TableOpener } from "../tables/table.ts";

/** The first value of the first key that any of the tables has. Rejects TableError. */
export async function firstValue(
  tables: TableOpener,
  maps: readonly string[],
  keys: readonly string[],
): Promise<string | undefined> {
  for (const key of keys) {
    for (const ref of maps) {
      const value = await tables.open(ref).get(key);
      if (value !== undefined) return value;
    }
  }
  return undefined;
}
