/** smtpd/command-filter.ts: smtpd_command_filter (postconf(5)): a table that replaces command lines of clients before they are
 *  read, for clients that cannot be repaired. */
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { TableError, type TableOpener } from "../tables/table.ts";

/** The line to go on with, the same if nothing replaces it. undefined: the table cannot be asked, which has been logged. */
export type CommandFilter = (
  line: string,
  seen: { readonly log: Log; readonly peer: string },
) => Promise<string | undefined>;

/** undefined: there is no filter. `hide` takes secrets out of a line for the log. */
export function createCommandFilter(
  params: Parameters,
  { tables, hide }: { readonly tables: TableOpener; readonly hide: (line: string) => string },
): CommandFilter | undefined {
  const ref = params.get("smtpd_command_filter");
  if (ref === "") return undefined;
  const table = tables.open(ref);
  return async (line, { log, peer }) => {
    const shown = (text: string) => printableAscii(hide(text));
    try {
      const found = await table.get(line.replace(/^[ \t]+/, ""));
      if (found === undefined) return line;
      log.info(`${peer}: replacing command "${shown(line)}" with "${shown(found)}"`);
      return found;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      log.warning(`${ref} lookup error for "${shown(line).slice(0, 100)}"`);
      return undefined;
    }
  };
}
