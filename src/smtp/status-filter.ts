/** smtp/status-filter.ts: smtp_delivery_status_filter: other words, or another class, for the outcome of a recipient. Asked
 *  once for each recipient, with what would go to the log; success stays success, failure failure. */
import type { Log } from "../log/log.ts";
import type { RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { TableError, type TableOpener } from "../tables/table.ts";

export interface StatusFilterParts {
  readonly refs: readonly string[];
  readonly tables: TableOpener;
  readonly log: Log;
}

const RESULT = /^([245]\.\d{1,3}\.\d{1,3})\s+(\S.*)$/s;

/** The outcome to report. A table that cannot answer, or answers nonsense, changes nothing and is logged. */
export async function filteredOutcome(outcome: RcptOutcome, parts: StatusFilterParts): Promise<RcptOutcome> {
  const key = `${outcome.dsn} ${outcome.text}`;
  try {
    for (const ref of parts.refs) {
      const value = await parts.tables.open(ref).get(key);
      if (value !== undefined) return replaced(outcome, value, { ...parts, ref });
    }
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    parts.log.warning(`delivery status filter lookup error: ${printableUtf8(error.message)}`);
  }
  return outcome;
}

function replaced(outcome: RcptOutcome, value: string, { log, ref }: { log: Log; ref: string }): RcptOutcome {
  const [, dsn = "", text = ""] = RESULT.exec(value) ?? [];
  const success = (status: string) => status.startsWith("2");
  if (dsn === "" || success(dsn) !== success(outcome.dsn)) {
    log.warning(`${ref}: bad delivery status filter result "${printableUtf8(value)}" for "${outcome.dsn}"`);
    return outcome;
  }
  const kind = success(dsn) ? "sent" : dsn.startsWith("5") ? "bounced" : "deferred";
  return { ...outcome, kind, dsn, text: printableUtf8(text) };
}
