/** cleanup/duties/date.ts: Date (RFC 5322 §3.3, obsolete forms of §4.3 too: MSG-08). Missing ones are added by missing-fields.ts. */
import { formatMailDate } from "../../mail/date.ts";
import { fieldValue } from "../header-block.ts";
import { type Duty, makeField, replaced, shown, writtenName } from "./duty.ts";

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MONTH = `(${MONTHS.join("|")})`;
const DAY = "(?:(?:mon|tue|wed|thu|fri|sat|sun) ?, ?)?";
/** The military zones lack J. */
const ZONE = "([+-]\\d{4}|ut|gmt|[ecmp][sd]t|[a-ik-z])";
const MAIL_DATE = new RegExp(`^${DAY}(\\d{1,2}) ${MONTH} (\\d{2,4}) (\\d{2}) ?: ?(\\d{2})(?: ?: ?(\\d{2}))? ${ZONE}$`);
/** What programs write that do not know mail; a time without zone is UTC. */
const ISO_DATE = /^(\d{4}-\d{2}-\d{2})(?:[t ](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)? ?(z|[+-]\d{2}:?\d{2})?)?$/;

/** MOD-05 */
export const date: Duty = (fields, { arrivalMs }) => {
  const field = fields.find(({ name }) => name === "date");
  if (field === undefined) {
    return fields.some(({ name }) => name === "resent-date") ? undefined : { problem: "Date is missing", fields };
  }
  const value = fieldValue(field);
  if (isMailDate(value)) return undefined;
  const meant = isoTime(value) ?? arrivalMs;
  return {
    problem: `Date is not in the form of RFC 5322: ${shown(value)}`,
    fields: replaced(fields, field, [makeField(writtenName(field), formatMailDate(meant))]),
  };
};

function isMailDate(value: string): boolean {
  const found = MAIL_DATE.exec(withoutComments(value));
  if (!found) return false;
  const [, day, month = "", year, hour, minute, second] = found;
  const days = new Date(Date.UTC(fullYear(Number(year)), MONTHS.indexOf(month) + 1, 0)).getUTCDate();
  const inDay = Number(day) >= 1 && Number(day) <= days;
  return inDay && Number(hour) < 24 && Number(minute) < 60 && Number(second ?? 0) <= 60;
}

/** RFC 5322 §4.3 */
function fullYear(year: number): number {
  if (year < 50) return year + 2000;
  return year < 1000 ? year + 1900 : year;
}

/** In lower case, blanks as one. Comments that nest are no dates of a mail program: they leave a mark that fits nowhere. */
function withoutComments(value: string): string {
  const text = value.slice(0, 200).replace(/\([^()]*\)/g, " ");
  return text.replace(/\s+/g, " ").trim().toLowerCase();
}

/** Milliseconds since the epoch; undefined: something else, or a time nobody can mean. */
function isoTime(value: string): number | undefined {
  const found = ISO_DATE.exec(value.slice(0, 100).trim().toLowerCase());
  if (!found) return undefined;
  const [, day = "", clock = "00:00", zone = "z"] = found;
  const offset = zone === "z" ? "Z" : `${zone.slice(0, 3)}:${zone.slice(-2)}`;
  const ms = Date.parse(`${day}T${clock}${offset}`);
  return ms > 0 && ms < Date.UTC(2200, 0) ? ms : undefined;
}
