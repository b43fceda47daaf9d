/** cli/queue-format.ts: what postqueue -p, postqueue -j and postcat print, as Postfix prints it (postqueue(1), postcat(1)).
 *  Pure text; who writes it where is the commands' business. Columns are those scripts have parsed for twenty years. */
import { formatAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueListing } from "../queue/store.ts";

/** What `enable_long_queue_ids` decides about the look of the list. */
export interface QueueFormat {
  readonly longIds: boolean;
}

interface Columns {
  readonly id: number;
  readonly size: number;
  readonly time: number;
  readonly headings: readonly [string, string, string, string];
}

const SHORT: Columns = {
  id: 11,
  size: 7,
  time: 20,
  headings: ["-Queue ID-", "--Size--", "----Arrival Time----", "-Sender/Recipient-------"],
};
const LONG: Columns = {
  id: 17,
  size: 8,
  time: 19,
  headings: ["----Queue ID-----", "--Size--", "---Arrival Time----", "--Sender/Recipient------"],
};

/** Reasons end at this column. */
const REASON_WIDTH = 76;

/** The sum at the end of `postqueue -p`; feed it every listing once. */
export interface QueueTotals {
  readonly messages: number;
  readonly sizeBytes: number;
}

/** Heading line of `postqueue -p`; not printed for an empty queue. */
export function formatQueueHeading(format: QueueFormat): string {
  const columns = columnsOf(format);
  return line(columns, columns.headings);
}

/** One message of `postqueue -p`. An empty line goes between two messages, none before the first. */
export function formatQueueEntry(entry: QueueListing, format: QueueFormat): string {
  const columns = columnsOf(format);
  const mark = entry.queue === "active" ? "*" : entry.queue === "hold" ? "!" : "";
  // Postfix cuts asctime() at the column's width: short ids keep the blank behind the seconds.
  const shown = formatAsctime(entry.arrivalMs).slice(0, columns.time);
  const size = String(entry.sizeBytes).padStart(columns.size);
  let text = `${`${entry.queueId}${mark}`.padEnd(columns.id)} ${size} ${shown} ${externalSender(entry)}\n`;
  let reason = "";
  for (const recipient of entry.recipients) {
    if (recipient.reason !== reason) {
      reason = recipient.reason;
      const told = printableUtf8(reason) || "reason unavailable";
      text += `${" ".repeat(Math.max(0, REASON_WIDTH - Buffer.byteLength(told)))}(${told})\n`;
    }
    text += line(columns, ["", "", "", printableUtf8(formatAddress(recipient.address))]);
  }
  return text;
}

/** Last line of `postqueue -p`, with the empty line before it. */
export function formatQueueTotals(totals: QueueTotals): string {
  if (totals.messages === 0) return "Mail queue is empty\n";
  const kilobytes = Math.floor(totals.sizeBytes / 1024);
  return `\n-- ${kilobytes} Kbytes in ${totals.messages} Request${totals.messages === 1 ? "" : "s"}.\n`;
}

/** The whole `postqueue -p` for a queue that is at hand at once. */
export function formatQueue(entries: readonly QueueListing[], format: QueueFormat): string {
  if (entries.length === 0) return formatQueueTotals({ messages: 0, sizeBytes: 0 });
  const sizeBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  const listed = entries.map((entry) => formatQueueEntry(entry, format)).join("\n");
  return formatQueueHeading(format) + listed + formatQueueTotals({ messages: entries.length, sizeBytes });
}

/** One line of `postqueue -j`: Postfix's keys and no others. */
export function formatQueueJson(entry: QueueListing): string {
  const fields = [
    `"queue_name": ${jsonString(entry.queue)}`,
    `"queue_id": ${jsonString(entry.queueId)}`,
    `"arrival_time": ${Math.floor(entry.arrivalMs / 1000)}`,
    `"message_size": ${entry.sizeBytes}`,
    `"forced_expire": false`,
    `"sender": ${jsonString(externalSender(entry))}`,
    `"recipients": [${entry.recipients.map(jsonRecipient).join(", ")}]`,
  ];
  return `{${fields.join(", ")}}\n`;
}

function jsonRecipient({ address, reason }: QueueListing["recipients"][number]): string {
  const why = reason === "" ? "" : `, "delay_reason": ${jsonString(reason)}`;
  return `{"address": ${jsonString(formatAddress(address))}${why}}`;
}

/** Postfix's showq names the null sender so, in both formats. */
function externalSender(entry: QueueListing): string {
  return entry.sender === "" ? "MAILER-DAEMON" : printableUtf8(formatAddress(entry.sender));
}

/** A JSON string. JSON.stringify() leaves DEL as it is; Postfix writes it as an escape, and hexadecimal digits in upper case. */
export function jsonString(text: string): string {
  return JSON.stringify(text)
    .replace(/\\(?:\\|u([0-9a-f]{4}))/g, (whole, digits?: string) => (digits ? `\\u${digits.toUpperCase()}` : whole))
    .replaceAll("\x7f", "\\u007F");
}

/** The envelope records that stand before the content, and the marker where it begins. */
export function formatPostcatEnvelope(envelope: Envelope, listing: QueueListing): string {
  const name = postcatName(listing);
  const time = formatAsctime(envelope.arrivalMs);
  const { origin } = envelope;
  const attributes: readonly (readonly [string, string | undefined])[] =
    origin.uid !== undefined
      ? [["rewrite_context", "local"]]
      : [
          ["log_ident", envelope.queueId],
          ["sasl_method", origin.saslMethod],
          ["sasl_username", origin.saslUsername],
          ["sasl_sender", origin.saslSender],
          ["log_client_name", origin.clientName],
          ["log_client_address", origin.clientAddress],
          ["log_helo_name", origin.helo],
          ["log_protocol_name", origin.protocol],
          ["client_name", origin.clientName],
          ["client_address", origin.clientAddress],
          ["helo_name", origin.helo],
          ["protocol_name", origin.protocol],
          ["encoding", envelope.body === "8BITMIME" ? "8bit" : "7bit"],
        ];
  const lines = [`*** ENVELOPE RECORDS ${name} ***`, sizeRecord(listing, envelope), `message_arrival_time: ${time}`];
  lines.push(`create_time: ${time}`);
  for (const [key, value] of attributes) {
    if (value !== undefined) lines.push(`named_attribute: ${key}=${printableUtf8(value)}`);
  }
  lines.push(`sender: ${printableUtf8(envelope.sender)}`);
  for (const recipient of listing.recipients) lines.push(`recipient: ${printableUtf8(recipient.address)}`);
  lines.push(`*** MESSAGE CONTENTS ${name} ***`);
  return `${lines.join("\n")}\n`;
}

/** The two markers behind the content. */
export function formatPostcatEnd(listing: QueueListing): string {
  const name = postcatName(listing);
  return `*** HEADER EXTRACTED ${name} ***\n*** MESSAGE FILE END ${name} ***\n`;
}

function postcatName(listing: QueueListing): string {
  return `${listing.queue}/${listing.queueId}`;
}

/** Size, data offset, recipients, qmgr flags, content length, SMTPUTF8; there is no offset here. */
function sizeRecord(listing: QueueListing, envelope: Envelope): string {
  const numbers = [listing.sizeBytes, 0, listing.recipients.length, 0, listing.sizeBytes, envelope.smtputf8 ? 1 : 0];
  return `message_size: ${numbers.map((n) => String(n).padStart(15)).join(" ")}`;
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** asctime(3) of the local time, without its line end: `Thu Nov  4 06:44:49 2026`. */
export function formatAsctime(epochMs: number): string {
  const t = new Date(epochMs);
  const clock = [t.getHours(), t.getMinutes(), t.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
  const day = String(t.getDate()).padStart(2);
  return `${WEEKDAYS[t.getDay()]} ${MONTHS[t.getMonth()]} ${day} ${clock} ${t.getFullYear()}`;
}

function columnsOf(format: QueueFormat): Columns {
  return format.longIds ? LONG : SHORT;
}

function line(columns: Columns, [id, size, time, who]: readonly [string, string, string, string]): string {
  return `${id.padEnd(columns.id)} ${size.padStart(columns.size)} ${time.padEnd(columns.time)} ${who}\n`;
}
