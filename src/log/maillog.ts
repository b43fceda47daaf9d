/** log/maillog.ts: a record as one line of Postfix's mail log: `Mon DD HH:MM:SS HOST TAG[ID]: [SEVERITY: ]TEXT`. */
import type { LogRecord } from "./log.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** The last second formatted; log lines come in bursts. */
let last = { second: Number.NaN, text: "" };

/** RFC 3164 time with a space-padded day, as postlogd(8) writes it; ends in LF. */
export function formatMaillog(record: LogRecord, hostname: string): string {
  const second = Math.floor(record.at / 1000);
  if (last.second !== second) last = { second, text: stamp(new Date(second * 1000)) };
  const severity = record.severity === "info" ? "" : `${record.severity}: `;
  return `${last.text} ${hostname} ${record.tag}[${record.id}]: ${severity}${record.text}\n`;
}

function stamp(d: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = String(d.getDate()).padStart(2, " ");
  return `${MONTHS[d.getMonth()]} ${day} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
