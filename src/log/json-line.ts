/** log/json-line.ts: a record as one JSON object on a line, for `postern_log_format = json` and between worker and
 *  master, who makes syslog messages of it. The names of its members are documented in docs/log-format.md and do not change. */
import { parseQueueId } from "../mail/queue-id.ts";
import type { LogRecord, Severity } from "./log.ts";

/** One object and LF. `time` is RFC 3339 in UTC with milliseconds; fields of the event never shadow the fixed members. */
export function formatJsonLine(record: LogRecord, host: string): string {
  const fields = typeof record.fields === "function" ? record.fields() : record.fields;
  const queueId = parseQueueId(record.text.slice(0, Math.max(0, record.text.indexOf(":"))))?.id;
  return `${JSON.stringify({
    time: new Date(record.at).toISOString(),
    host,
    tag: record.tag,
    id: record.id,
    severity: record.severity,
    text: record.text,
    ...(queueId !== undefined && { queue_id: queueId }),
    ...(fields && { fields }),
  })}\n`;
}

/** A line read back; undefined: it is none, or was cut short by a worker that was killed. */
export function parseJsonLine(line: string): LogRecord | undefined {
  if (!line.startsWith('{"time":')) return undefined;
  try {
    const { time, tag, id, severity, text, fields } = JSON.parse(line) as Members;
    return { at: Date.parse(time), tag, id, severity, text, fields };
  } catch {
    return undefined;
  }
}

interface Members {
  readonly time: string;
  readonly tag: string;
  readonly id: number;
  readonly severity: Severity;
  readonly text: string;
  readonly fields?: LogRecord["fields"];
}
