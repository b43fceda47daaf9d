/** smtp/reply-rules.ts: how one client transport reads replies: smtp_reply_filter, smtp_per_request_deadline. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { ConnectionError } from "../net/client-connection.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import type { SharedReplyRules } from "./reply.ts";
import type { Settings } from "./settings.ts";

export interface ReplyRulesParts {
  readonly settings: Settings;
  readonly tables: TableOpener;
  readonly clock: Clock;
  readonly log: Log;
}

export function replyRules({ settings, tables, clock, log }: ReplyRulesParts): SharedReplyRules {
  const now = settings.perRequestDeadline ? () => clock.monotonic() : undefined;
  const ref = settings.replyFilter;
  if (ref === "") return { now };
  return { now, filter: (line, queueId) => filtered(line, { ref, tables, log, queueId }) };
}

interface FilterParts {
  readonly ref: string;
  readonly tables: TableOpener;
  readonly log: Log;
  readonly queueId: string;
}

/** The line that stands in for what the server said. A table that cannot answer ends the session: mail waits. */
async function filtered(line: string, { ref, tables, log, queueId }: FilterParts): Promise<string> {
  try {
    const value = await tables.open(ref).get(line);
    if (value === undefined) return line;
    log.info(`${queueId}: replacing server reply "${line}" with "${value}"`);
    return value;
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    log.warning(`${queueId}: table ${ref} lookup error for ${line}`);
    throw new ConnectionError("local", error.message, { cause: error });
  }
}
