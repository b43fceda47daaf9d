/** cli/queue-lines.ts: what `postern queue list` and `show` print for people, at most 100 columns wide but for addresses. */
import { formatAddress } from "../mail/address.ts";
import { formatUtcTime } from "../mail/date.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { ListedRecipient, QueueListing } from "../queue/store.ts";
import type { ReadMessage } from "./queue-access.ts";
import { formatAsctime } from "./queue-format.ts";

const BELOW_WIDTH = 82;

export const LINE_HEADING = `${"QUEUE ID".padEnd(16)} ${"QUEUE".padEnd(8)} ${"AGE".padStart(6)} ${"NEXT".padStart(6)} ${"SIZE".padStart(6)}  FROM -> TO\n`;

/** One message: a line; then what its sender wants, if anything, and the reason of its first recipient that
 *  has one. NEXT is when the first of its waiting recipients is tried, "-" if none waits. */
export function formatLine(entry: QueueListing, nowMs: number): string {
  const [first] = entry.recipients;
  const more = entry.recipients.length > 1 ? ` and ${entry.recipients.length - 1} more` : "";
  const route = `${shown(entry.sender)} -> ${first ? shown(first.address) : ""}${more}`;
  const age = formatAge(nowMs - entry.arrivalMs).padStart(6);
  const next = (entry.nextTryMs === undefined ? "-" : formatNext(entry.nextTryMs, nowMs)).padStart(6);
  const size = formatSize(entry.sizeBytes).padStart(6);
  const head = `${entry.queueId.padEnd(16)} ${entry.queue.padEnd(8)} ${age} ${next} ${size}  ${route}\n`;
  const wishes = wishesOf(entry, nowMs).map(([name, text]) => `${name} ${text}`);
  const reason = entry.recipients.find((recipient) => recipient.reason !== "")?.reason;
  return [head, ...filled(wishes).map(below), ...(reason === undefined ? [] : [below(reason)])].join("");
}

/** As many on a line as fit. */
function filled(wishes: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (const wish of wishes) {
    const joined = `${lines.at(-1)}; ${wish}`;
    if (lines.length > 0 && joined.length <= BELOW_WIDTH) lines.splice(-1, 1, joined);
    else lines.push(wish);
  }
  return lines;
}

function below(text: string): string {
  const safe = printableUtf8(text);
  return `${" ".repeat(17)}${safe.length > BELOW_WIDTH ? `${safe.slice(0, BELOW_WIDTH - 1)}…` : safe}\n`;
}

/** What decides about a message beside its recipients: when it goes, where it may not go, how urgent it is; name and text. */
function wishesOf(entry: QueueListing, nowMs: number): readonly (readonly [name: string, text: string])[] {
  const { heldUntilMs, deliverBy, priority, requireTls, tlsOptional, filter } = entry;
  const wishes: (readonly [string, string])[] = [];
  if (heldUntilMs !== undefined && heldUntilMs > nowMs) wishes.push(["held", `until ${formatUtcTime(heldUntilMs)}`]);
  if (deliverBy !== undefined) {
    const late = deliverBy.mode === "R" ? "else returned" : "else its sender is told";
    wishes.push(["deliver by", `${formatUtcTime(deliverBy.untilMs)}, ${late}`]);
  }
  if (priority !== undefined) wishes.push(["priority", String(priority)]);
  if (requireTls) wishes.push(["needs", "REQUIRETLS"]);
  if (tlsOptional) wishes.push(["TLS", "optional (TLS-Required: No)"]);
  if (filter !== undefined) wishes.push(["filter", filter]);
  return wishes;
}

/** Everything about one message but its body. */
export function formatMessage({ envelope, listing, content }: ReadMessage, nowMs: number): string {
  const { origin } = envelope;
  const end = content.indexOf("\r\n\r\n");
  const header = (end < 0 ? content : content.slice(0, end)).replaceAll("\r\n", "\n");
  const from =
    origin.uid === undefined
      ? `${origin.clientName}[${origin.clientAddress}] by ${origin.service}`
      : `user ${origin.uid} of this machine`;
  const login = origin.saslUsername === undefined ? "" : `, logged in as ${printableUtf8(origin.saslUsername)}`;
  const lines = [
    `queue id   ${listing.queueId}`,
    `queue      ${listing.queue}`,
    `arrived    ${formatAsctime(listing.arrivalMs)} (${formatAge(nowMs - listing.arrivalMs)} ago)`,
    ...wishesOf(listing, nowMs).map(([name, text]) => `${name.padEnd(10)} ${printableUtf8(text)}`),
    `size       ${listing.sizeBytes} bytes`,
    `from       ${shown(listing.sender)}`,
    `client     ${printableUtf8(from)}${login}`,
  ];
  for (const recipient of listing.recipients) lines.push(...recipientLines(recipient, nowMs));
  const safe = header.split("\n").map((line) => printableUtf8(line));
  return `${[...lines, "", ...safe].join("\n")}\n`;
}

/** Where it goes and when, and why it has not gone yet. */
function recipientLines({ address, reason, lane, nextTryMs }: ListedRecipient, nowMs: number): readonly string[] {
  const next =
    nextTryMs === undefined ? undefined : `next try ${nextTryMs > nowMs ? "in " : ""}${formatNext(nextTryMs, nowMs)}`;
  const route = [...(lane ? [`by ${lane}`] : []), ...(next ? [next] : [])];
  return [
    `to         ${shown(address)}`,
    ...(route.length === 0 ? [] : [`           ${printableUtf8(route.join(", "))}`]),
    ...(reason === "" ? [] : [`           ${printableUtf8(reason)}`]),
  ];
}

function formatNext(atMs: number, nowMs: number): string {
  return atMs <= nowMs ? "now" : formatAge(atMs - nowMs);
}

/** `45s`, `12m`, `5h10m`, `6d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h${String(minutes % 60).padStart(2, "0")}m` : `${Math.floor(hours / 24)}d`;
}

function formatSize(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  return bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)}K` : `${(bytes / (1 << 20)).toFixed(1)}M`;
}

function shown(address: QueueListing["sender"]): string {
  return address === "" ? "<>" : printableUtf8(formatAddress(address));
}
