/** mail/date.ts: the date-time of Received and Date header fields (RFC 5322 §3.3), as Postfix 3.9 and later write it. */

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** The last second formatted: a busy server asks for the same one thousands of times. */
let last = { second: Number.NaN, text: "" };

/** `Tue, 24 Nov 2026 06:44:21 +0100 (CET)` in the machine's time zone. */
export function formatMailDate(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (last.second !== second) last = { second, text: format(new Date(second * 1000)) };
  return last.text;
}

/** `2026-12-24T18:00:00Z` (RFC 3339), without fractions of a second. */
export function formatUtcTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, "");
}

/** date-time of RFC 3339 in UTC (RFC 4865 §3, erratum 2040); undefined: it is none, or there is no such time. */
export function parseUtcTime(text: string): number | undefined {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):(\d\d)(\.\d{1,9})?Z$/i.exec(text);
  if (!found) return undefined;
  const [, day, minute, second, fraction = ""] = found;
  // A leap second is the end of its minute.
  const leap = second === "60" && minute === "23:59";
  const ms = Date.parse(`${day}T${minute}:${leap ? "59" : second}${fraction.slice(0, 4)}Z`);
  // Date.parse() takes the 31st of February for the 3rd of March, and 24:00 for the next day.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 16) !== `${day}T${minute}`) return undefined;
  return ms + (leap ? 1000 : 0);
}

function format(d: Date): string {
  const offset = -d.getTimezoneOffset();
  const size = Math.abs(offset);
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`;
  const clock = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return `${DAYS[d.getDay()]}, ${two(d.getDate())} ${MONTHS[d.getMonth()]} ${d.getFullYear()} ${clock} ${zone} (${zoneName(d)})`;
}

/** Abbreviation where the machine has one; the numeric zone already says what counts. */
function zoneName(d: Date): string {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(d);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "UTC";
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}
