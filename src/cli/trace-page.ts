/** cli/trace-page.ts: what `postern trace` prints for people. */
import { formatAddress } from "../mail/address.ts";
import type { Changes, Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueListing } from "../queue/store.ts";
import { formatAge } from "./queue-lines.ts";
import type { Story } from "./trace-story.ts";

export interface Traced {
  readonly queueId: string;
  readonly story: Story;
  /** undefined: it is not in the queue. */
  readonly queued: { readonly envelope: Envelope; readonly listing: QueueListing } | undefined;
  /** The queue could not be asked, and why. */
  readonly queueProblem?: string | undefined;
  /** What is said of the log files: one that cannot be read … */
  readonly notes: readonly string[];
}

/** `undefined`: nobody can know any more. */
export function changesOf({ story, queued }: Traced): readonly string[] {
  const kept = queued?.envelope.changes;
  return kept ? formatKept(kept) : story.changes;
}

function formatKept({ list, omitted }: Changes): readonly string[] {
  const texts = list.map(({ what, why, rule }) => `${what} (${why}; ${rule})`);
  return omitted === undefined ? texts : [...texts, `${omitted} more`];
}

export function formatTrace(traced: Traced, nowMs: number): string {
  const { queueId, story, notes, queueProblem } = traced;
  const lines = [
    `${queueId}  ${stateOf(traced, nowMs)}`,
    "",
    ...section("arrived", arrivalLines(traced)),
    ...section("from", [senderOf(traced)]),
    ...section("message", story.messageId === undefined ? [] : [story.messageId]),
    ...section("changes", changeLines(traced)),
    ...section(
      "decisions",
      story.decisions.map(({ time, text }) => `${clock(time)}  ${text}`),
    ),
    ...section("deliveries", deliveryLines(traced)),
    ...section("waiting", waitingLines(traced)),
    ...section(
      "also",
      story.others.map(({ time, program, text }) => `${clock(time)}  ${program}: ${text}`),
    ),
    ...section(
      "see",
      story.related.map((id) => `postern trace ${id}`),
    ),
    ...section("note", [
      ...notes,
      ...(queueProblem === undefined ? [] : [`the queue could not be asked: ${queueProblem}`]),
    ]),
  ];
  return `${lines.map((line) => printableUtf8(line)).join("\n")}\n`;
}

function stateOf({ queued, story, queueProblem }: Traced, nowMs: number): string {
  if (queued) {
    const { listing } = queued;
    const waiting = `${listing.recipients.length} of its recipients`;
    return `in the queue (${listing.queue}), for ${formatAge(nowMs - listing.arrivalMs)}; waiting: ${waiting}`;
  }
  if (story.removed) return `gone from the queue, ${story.removed.time}: ${story.removed.text}`;
  const refused = story.decisions.some(({ text }) => /^(?:reject|milter-reject|proxy-reject): /.test(text));
  if (refused && story.deliveries.length === 0) return "never queued: refused";
  return queueProblem === undefined ? "not in the queue, and the log does not say how it went" : "as the log tells it";
}

function arrivalLines({ queued, story }: Traced): readonly string[] {
  if (story.arrival) {
    const { time, program, text } = story.arrival;
    return [`${time}  ${program}: ${text}`, ...(story.tls === undefined ? [] : [story.tls])];
  }
  if (!queued) return ["the log has no line of it"];
  const { origin, arrivalMs } = queued.envelope;
  const login = origin.saslUsername === undefined ? "" : `, sasl_username=${origin.saslUsername}`;
  const client = origin.uid === undefined ? `${origin.clientName}[${origin.clientAddress}]` : `user ${origin.uid}`;
  return [`${new Date(arrivalMs).toISOString()}  ${origin.service}: client=${client}${login}`];
}

function senderOf({ queued, story }: Traced): string {
  const sender = queued ? formatAddress(queued.envelope.sender) : story.sender;
  if (sender === undefined) return "not known";
  const size = queued?.listing.sizeBytes ?? story.sizeBytes;
  return `<${sender}>${size === undefined ? "" : `, ${size} bytes`}`;
}

/** Of a message that is gone, without a line in the log, nobody knows: postern_log_changes may have been off. */
function changeLines(traced: Traced): readonly string[] {
  const changes = changesOf(traced);
  if (changes.length > 0) return changes;
  if (traced.queued) return ["nothing was touched"];
  return traced.story.messageId === undefined ? [] : ["nothing was touched, as far as the log tells"];
}

function deliveryLines({ story }: Traced): readonly string[] {
  return story.deliveries.map(
    ({ time, to, status, relay, response }) => `${clock(time)}  ${status.padEnd(8)} <${to}> by ${relay}: ${response}`,
  );
}

function waitingLines({ queued }: Traced): readonly string[] {
  return (queued?.listing.recipients ?? []).map(
    ({ address, reason }) => `<${formatAddress(address)}>${reason === "" ? "" : `: ${reason}`}`,
  );
}

const INDENT = 12;

function section(title: string, texts: readonly string[]): readonly string[] {
  return texts.map((text, i) => `${(i === 0 ? title : "").padEnd(INDENT)}${text}`);
}

/** Day and time alone where the line has them. */
function clock(time: string): string {
  return /^\d{4}-\d\d-\d\dT/.test(time) ? time.slice(0, 19) : time;
}
