/** log/parse-line.ts: a line of the log read back, in each form that it may have: Postfix's, with the time of syslog or an ISO one,
 *  and JSON. */
import { parseJsonLine } from "./json-line.ts";

export interface ReadLine {
  /** As the line has it; JSON: RFC 3339. */
  readonly time: string;
  /** "postfix/submission/smtpd" */
  readonly tag: string;
  readonly id: number;
  /** Behind the tag, with the severity in front if it is not info. */
  readonly text: string;
}

const LINE = /^(\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[^ ]{8,30}) [^ ]+ ([^ [\]]+)\[(\d+)\]: (.*)$/s;

/** undefined: no line of ours. */
export function parseLine(line: string): ReadLine | undefined {
  const json = parseJsonLine(line);
  if (json) {
    const { at, tag, id, severity, text } = json;
    if (typeof text !== "string" || typeof tag !== "string" || !Number.isFinite(at)) return undefined;
    return { time: new Date(at).toISOString(), tag, id, text: severity === "info" ? text : `${severity}: ${text}` };
  }
  const found = LINE.exec(line);
  if (!found) return undefined;
  const [, time = "", tag = "", id, text = ""] = found;
  return { time, tag, id: Number(id), text };
}
