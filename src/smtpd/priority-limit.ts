/** smtpd/priority-limit.ts: postern_priority_login_maps: how urgent a client may call its mail (RFC 6710 §4.1). */
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { TableError, type TableOpener } from "../tables/table.ts";

/** The highest priority that an owner (mail/future-release.ts) may use; undefined: it cannot be known now. */
export type PriorityLimit = (owner: string) => Promise<number | undefined>;

/** undefined: there are no tables, and nobody may. */
export function createPriorityLimit(
  params: Parameters,
  { tables, log }: { readonly tables: TableOpener; readonly log: Log },
): PriorityLimit | undefined {
  const name = "postern_priority_login_maps";
  const maps = params.get(name).map((ref) => tables.open(ref));
  if (maps.length === 0) return undefined;
  return async (owner) => {
    try {
      for (const map of maps) {
        const found = await map.get(owner);
        if (found === undefined) continue;
        if (/^[0-9]$/.test(found.trim())) return Number(found.trim());
        log.warning(printableUtf8(`${name}: ${map.ref}: bad priority "${found}" of ${owner}: say 0 to 9`));
        return undefined;
      }
      return 0;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      log.warning(`${name}: ${error.message}`);
      return undefined;
    }
  };
}
