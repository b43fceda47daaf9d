/** cli/queue-json.ts: what `postern queue list --json` and `show --json` print: the keys of postqueue -j, and behind them what
 *  Postfix does not know. Times are in seconds since 1970, as Postfix's. */
import type { QueueListing } from "../queue/store.ts";
import { formatQueueJson, jsonString } from "./queue-format.ts";

/** One line. A key whose wish nobody had is missing. */
export function formatListingJson(entry: QueueListing): string {
  const { heldUntilMs, nextTryMs, requireTls, tlsOptional, deliverBy, priority, filter } = entry;
  const more: string[] = [];
  if (nextTryMs !== undefined) more.push(`"next_try": ${seconds(nextTryMs)}`);
  if (heldUntilMs !== undefined) more.push(`"held_until": ${seconds(heldUntilMs)}`);
  if (deliverBy !== undefined) {
    more.push(`"deliver_by": ${seconds(deliverBy.untilMs)}`, `"deliver_by_mode": "${deliverBy.mode}"`);
  }
  if (priority !== undefined) more.push(`"priority": ${priority}`);
  if (requireTls) more.push('"require_tls": true');
  if (tlsOptional) more.push('"tls_optional": true');
  if (filter !== undefined) more.push(`"content_filter": ${jsonString(filter)}`);
  const routes = entry.recipients.flatMap(({ lane }) => (lane === undefined ? [] : [jsonString(lane)]));
  if (routes.length > 0) more.push(`"routes": [${routes.join(", ")}]`);
  const known = formatQueueJson(entry);
  return more.length === 0 ? known : `${known.slice(0, -"}\n".length)}, ${more.join(", ")}}\n`;
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
