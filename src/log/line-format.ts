/** log/line-format.ts: the two forms of a log line, `postern_log_format = text | json`. */
import { formatJsonLine } from "./json-line.ts";
import type { LogRecord } from "./log.ts";
import { formatMaillog } from "./maillog.ts";

/** A record as one line that ends in LF. */
export type LineFormat = (record: LogRecord) => string;

/** `hostname` may be a full name: lines carry its first label, as Postfix's do. */
export function lineFormat(form: "text" | "json", hostname: string): LineFormat {
  const host = hostname.split(".")[0] ?? hostname;
  return form === "json" ? (record) => formatJsonLine(record, host) : (record) => formatMaillog(record, host);
}
