/** local/status-text.ts: `5.1.1 text` of next hops and rules: an enhanced status in front of a text (dsn_split(3postfix)). */
import { printableUtf8 } from "../mail/printable.ts";

/** `statusClass` is what became of the mail: a status of another class is not believed, X.0.0 stands for it, as Postfix logs it. */
export function splitStatusText(
  given: string,
  statusClass: "2" | "4" | "5",
): { readonly dsn: string; readonly text: string } {
  const trimmed = given.trim();
  const [whole = "", found, detail] = /^([245])(\.\d{1,3}\.\d{1,3})(?:\s+|$)/.exec(trimmed) ?? [];
  const dsn = found === statusClass ? `${statusClass}${detail}` : `${statusClass}.0.0`;
  return { dsn, text: printableUtf8(trimmed.slice(whole.length)) };
}
