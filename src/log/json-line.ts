/** log/json-line.ts: a record as one JSON object on a line, for `postern_log_format = json`. The names of its members are documented in docs/log-format.md and do not change. */
import { parseQueueId } from "../mail/queue-id.ts";
import type { LogRecord } from "./log.ts";

/** One object and LF. `time` is RFC 3339 in UTC with milliseconds; fields of the event never shadow the fixed members. */
export function formatJsonLine(record: LogRecord, host: string): string {
  const queueId = parseQueueId(record.text.slice(0, Math.max(0, record.text.indexOf(":"))))?.id;
  return `${JSON.stringify({
    time: new Date(record.at).toISOString(),
    host,
    tag: record.tag,
    id: record.id,
    severity: record.severity,
    text: record.text,
    ...(queueId !== undefined && { queue_id: queueId }),
    ...(record.fields && { fields: record.fields }),
  })}\n`;
}
