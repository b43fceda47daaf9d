/** cli/queue-lines.ts: what `postern queue list` and `show` print for people, at most 100 columns wide but for addresses. */
import { formatAddress } from "../mail/address.ts";
import { formatUtcTime } from "../mail/date.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueListing } from "../queue/store.ts";
import type { ReadMessage } from "./queue-access.ts";
import { formatAsctime } from "./queue-format.ts";

const REASON_WIDTH = 82;

export const LINE_HEADING = `${"QUEUE ID".padEnd(16)} ${"QUEUE".padEnd(8)} ${"AGE".padStart(6)} ${"SIZE".padStart(6)}  FROM -> TO\n`;

/** One message: a line, and one more for the reason of its first recipient that has one. */
export function formatLine(entry: QueueListing, nowMs: number): string {
  const [first] = entry.recipients;
  const more = entry.recipients.length > 1 ? ` and ${entry.recipients.length - 1} more` : "";
  const route = `${shown(entry.sender)} -> ${first ? shown(first.address) : ""}${more}`;
  const age = formatAge(nowMs - entry.arrivalMs).padStart(6);
  const size = formatSize(entry.sizeBytes).padStart(6);
  const head = `${entry.queueId.padEnd(16)} ${entry.queue.padEnd(8)} ${age} ${size}  ${route}\n`;
  const reason = heldText(entry, nowMs) ?? entry.recipients.find((recipient) => recipient.reason !== "")?.reason;
  if (reason === undefined) return head;
  const text = printableUtf8(reason);
  return `${head}${" ".repeat(17)}${text.length > REASON_WIDTH ? `${text.slice(0, REASON_WIDTH - 1)}…` : text}\n`;
}

/** Of a message that waits because its sender wished so. */
function heldText({ heldUntilMs }: QueueListing, nowMs: number): string | undefined {
  return heldUntilMs === undefined || heldUntilMs <= nowMs ? undefined : `held until ${formatUtcTime(heldUntilMs)}`;
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
    ...shownWishes(envelope, listing, nowMs),
    `size       ${listing.sizeBytes} bytes`,
    `from       ${shown(listing.sender)}`,
    `client     ${printableUtf8(from)}${login}`,
  ];
  for (const { address, reason } of listing.recipients) {
    lines.push(`to         ${shown(address)}`);
    if (reason !== "") lines.push(`           ${printableUtf8(reason)}`);
  }
  const safe = header.split("\n").map((line) => printableUtf8(line));
  return `${[...lines, "", ...safe].join("\n")}\n`;
}

/** What the sender asked of the queue (docs/submission-extensions.md). */
function shownWishes({ deliverBy, priority }: Envelope, listing: QueueListing, nowMs: number): readonly string[] {
  const held = heldText(listing, nowMs);
  const late = deliverBy?.mode === "R" ? "else returned" : "else its sender is told";
  return [
    ...(held === undefined ? [] : [`held       ${held.slice("held ".length)}`]),
    ...(deliverBy === undefined ? [] : [`deliver by ${formatUtcTime(deliverBy.untilMs)}, ${late}`]),
    ...(priority === undefined ? [] : [`priority   ${priority}`]),
  ];
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
