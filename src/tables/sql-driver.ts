/** tables/sql-driver.ts: the drivers of pgsql and mysql are optional dependencies, imported at the first lookup. This says
 *  at open time, and so in check, that one is not installed. */
import { TableError } from "./table.ts";

/** Throws TableError if the npm package is not there. Loads nothing. */
export function requirePackage(name: string, type: string): void {
  try {
    import.meta.resolve(name);
  } catch (cause) {
    throw new TableError(`tables of type ${type} need the npm package "${name}": npm install ${name}`, { cause });
  }
}
