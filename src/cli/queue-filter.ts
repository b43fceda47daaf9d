/** cli/queue-filter.ts: which messages an operator means: --from, --to, --reason, --older, --newer, --queue. Patterns are
 *  globs (`*` any text, `?` one character, upper and lower case alike), matched without backtracking that could hang. */
import type { QueueListing } from "../queue/store.ts";

export type QueueName = QueueListing["queue"];
export const QUEUE_NAMES: readonly QueueName[] = ["incoming", "active", "deferred", "hold"];

export interface QueueFilter {
  /** An address with wildcards, a bare domain, or `<>`. */
  readonly from?: string | undefined;
  /** At least one recipient matches. */
  readonly to?: string | undefined;
  /** Of one recipient: text anywhere in it, or, with wildcards, all of it. */
  readonly reason?: string | undefined;
  /** Milliseconds. */
  readonly olderMs?: number | undefined;
  readonly newerMs?: number | undefined;
  readonly queues: readonly QueueName[];
}

const UNIT_MS = new Map([
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 604_800_000],
]);

/** `90`, `45s`, `30m`, `2h`, `5d`, `1w` in milliseconds; undefined for anything else. */
export function parseAge(text: string): number | undefined {
  const parts = /^(\d{1,9})([smhdw]?)$/.exec(text);
  return parts ? Number(parts[1]) * (UNIT_MS.get(parts[2] || "s") ?? Number.NaN) : undefined;
}

/** Whether the whole text is what the pattern says. At most pattern × text steps. */
export function matchesGlob(pattern: string, text: string): boolean {
  const [glob, subject] = [pattern.toLowerCase(), text.toLowerCase()];
  let at = 0;
  let star = -1;
  let resume = 0;
  let i = 0;
  while (i < subject.length) {
    if (glob[at] === "*") {
      star = at++;
      resume = i;
    } else if (at < glob.length && (glob[at] === "?" || glob[at] === subject[i])) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else return false;
  }
  while (glob[at] === "*") at++;
  return at === glob.length;
}

/** `nowMs` decides about ages. */
export function matchesFilter(entry: QueueListing, filter: QueueFilter, nowMs: number): boolean {
  const { from, to, reason, olderMs, newerMs, queues } = filter;
  const ageMs = nowMs - entry.arrivalMs;
  if (!queues.includes(entry.queue)) return false;
  if (olderMs !== undefined && ageMs < olderMs) return false;
  if (newerMs !== undefined && ageMs > newerMs) return false;
  if (from !== undefined && !matchesAddress(from, entry.sender)) return false;
  if (to === undefined && reason === undefined) return true;
  return entry.recipients.some(
    (recipient) =>
      (to === undefined || matchesAddress(to, recipient.address)) &&
      (reason === undefined || matchesReason(reason, recipient.reason)),
  );
}

function matchesAddress(pattern: string, address: string): boolean {
  if (pattern === "<>" || pattern.toUpperCase() === "MAILER-DAEMON") return address === "";
  if (pattern.includes("@") || pattern.startsWith("*")) return matchesGlob(pattern, address);
  return matchesGlob(pattern, address.slice(address.lastIndexOf("@") + 1));
}

function matchesReason(pattern: string, reason: string): boolean {
  return matchesGlob(/[*?]/.test(pattern) ? pattern : `*${pattern}*`, reason);
}
