/** cli/trace-story.ts: what the log lines of one message say, sorted: where it came from, what was decided, what was changed,
 *  what became of each recipient. Reads the words of Postfix's log (docs/log-format.md). Pure. */
import type { ReadLine } from "../log/parse-line.ts";

export interface TraceEvent {
  readonly time: string;
  /** "submission/smtpd", without syslog_name. */
  readonly program: string;
  /** Without the queue id. */
  readonly text: string;
}

export interface Delivery extends TraceEvent {
  readonly to: string;
  readonly status: string;
  readonly relay: string;
  readonly response: string;
}

export interface Story {
  readonly arrival?: TraceEvent | undefined;
  /** `Anonymous TLS connection established …`. */
  readonly tls?: string | undefined;
  readonly messageId?: string | undefined;
  readonly sender?: string | undefined;
  readonly sizeBytes?: number | undefined;
  /** Refusals, warnings, actions of checks, and their rules. */
  readonly decisions: readonly TraceEvent[];
  readonly changes: readonly string[];
  readonly deliveries: readonly Delivery[];
  /** Queue ids of reports about it, and of copies of it. */
  readonly related: readonly string[];
  readonly removed?: TraceEvent | undefined;
  readonly others: readonly TraceEvent[];
}

type Growing = { -readonly [K in keyof Story]: Story[K] extends readonly (infer T)[] ? T[] : Story[K] };

const DELIVERY = /^to=<(.*?)>, (?:orig_to=<.*?>, )?relay=(.*?), .*?status=(\w+) \((.*)\)$/s;
const DECISION =
  /^(?:(?:warning|error): )?(?:reject|reject_warning|hold|discard|filter|redirect|bcc|prepend|replace|strip|pass|info|warning|milter-\w+|explain|proxy-\w+|permit)[:_ ]/;
const RELATED = /(?:notification: |forwarded as )([0-9A-Za-z]{10,})$/;

/** `lines` in the order of the log, all of one queue id. */
export function storyOf(queueId: string, lines: readonly ReadLine[]): Story {
  const story: Growing = { decisions: [], changes: [], deliveries: [], related: [], others: [] };
  for (const line of lines) tell(story, queueId, line);
  return story;
}

function tell(story: Growing, queueId: string, line: ReadLine): void {
  const severity = /^(?:warning|error|fatal|panic): /.exec(line.text)?.[0] ?? "";
  const rest = line.text.slice(severity.length);
  const own = rest.startsWith(`${queueId}: `);
  const text = own ? rest.slice(queueId.length + 2) : rest;
  const event = { time: line.time, program: line.tag.replace(/^[^/]*\//, ""), text: severity + text };
  if (!own || severity !== "") {
    (severity !== "" && own ? story.decisions : story.others).push(event);
    return;
  }
  tellOwn(story, event);
}

function tellOwn(story: Growing, event: TraceEvent): void {
  const { text } = event;
  const delivered = DELIVERY.exec(text);
  const related = RELATED.exec(text);
  if (/^(?:client=|uid=)/.test(text)) story.arrival ??= event;
  else if (text.startsWith("message-id=")) story.messageId = text.slice("message-id=".length);
  else if (text.startsWith("changes: ")) story.changes.push(...splitChanges(text.slice("changes: ".length)));
  else if (delivered) story.deliveries.push(deliveryOf(event, delivered));
  else if (text.startsWith("removed")) story.removed = event;
  else if (related?.[1] !== undefined) {
    story.related.push(related[1]);
    story.others.push(event);
  } else if (DECISION.test(text)) story.decisions.push(event);
  else {
    const active = /^from=<(.*?)>, size=(\d+),/.exec(text);
    if (active) {
      story.sender = active[1];
      story.sizeBytes = Number(active[2]);
    } else story.others.push(event);
  }
}

function deliveryOf(event: TraceEvent, [, to = "", relay = "", status = "", response = ""]: RegExpExecArray): Delivery {
  return { ...event, to, relay, status, response };
}

/** Each is `what (why; rule)`. */
function splitChanges(text: string): readonly string[] {
  return text.split(/(?<=\)), /);
}
