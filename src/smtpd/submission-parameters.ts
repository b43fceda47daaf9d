/** smtpd/submission-parameters.ts: HOLDFOR and HOLDUNTIL (RFC 4865 §3), BY (RFC 2852 §4), MT-PRIORITY (RFC 6710 §3), each
 *  strict and at most once. Pure. */
import { parseUtcTime } from "../mail/date.ts";
import type { DeliverBy, FutureRelease } from "../mail/envelope.ts";
import { type Reply, reply } from "../mail/reply.ts";

/** What this client may use; undefined: not that. */
export interface OfferedSubmission {
  readonly nowMs: number;
  /** `maxMs`: the longest time that a message may be held. */
  readonly futureRelease: { readonly maxMs: number } | undefined;
  /** `minMs`: the shortest time of mode R. */
  readonly deliverBy: { readonly minMs: number } | undefined;
  readonly priority: boolean;
}

/** What the parameters of MAIL have asked so far. */
export interface SubmissionSoFar {
  futureRelease?: FutureRelease;
  deliverBy?: DeliverBy;
  priority?: number;
}

export type Submission = Readonly<SubmissionSoFar>;

type Take = (found: SubmissionSoFar, value: string, offered: OfferedSubmission) => Reply | undefined;

const TAKE: ReadonlyMap<string, { readonly take: Take; readonly of: "futureRelease" | "deliverBy" | "priority" }> =
  new Map([
    ["HOLDFOR", { take: takeHoldFor, of: "futureRelease" }],
    ["HOLDUNTIL", { take: takeHoldUntil, of: "futureRelease" }],
    ["BY", { take: takeBy, of: "deliverBy" }],
    ["MT-PRIORITY", { take: takePriority, of: "priority" }],
  ] as const);

/** How the parameter of that name is taken; undefined: there is none, or not for this client. */
export function takerOf(
  name: string,
  offered: OfferedSubmission | undefined,
): ((found: SubmissionSoFar, value: string) => Reply | undefined) | undefined {
  const known = offered && TAKE.get(name);
  if (!known || !offered[known.of]) return undefined;
  return (found, value) => known.take(found, value, offered);
}

/** What is wrong with all of them together: held longer than the time it has (RFC 4865 §5.2.2). */
export function contradiction({ futureRelease, deliverBy }: Submission): Reply | undefined {
  if (futureRelease === undefined || deliverBy === undefined) return undefined;
  if (futureRelease.untilMs <= deliverBy.untilMs) return undefined;
  return reply(501, "5.5.4", "The message would be held beyond the time of BY");
}

function takeHoldFor(found: SubmissionSoFar, value: string, { nowMs, futureRelease }: OfferedSubmission) {
  if (found.futureRelease !== undefined || !/^[1-9]\d{0,8}$/.test(value)) return bad("HOLDFOR");
  const untilMs = nowMs + Number(value) * 1000;
  found.futureRelease = { untilMs, request: `for;${value}` };
  return tooLate(untilMs, nowMs, futureRelease);
}

/** A time that has come, or passed while the client was sending, releases at once. */
function takeHoldUntil(found: SubmissionSoFar, value: string, { nowMs, futureRelease }: OfferedSubmission) {
  const untilMs = parseUtcTime(value);
  if (found.futureRelease !== undefined || untilMs === undefined) return bad("HOLDUNTIL");
  found.futureRelease = { untilMs, request: `until;${value.toUpperCase()}` };
  return tooLate(untilMs, nowMs, futureRelease);
}

function tooLate(untilMs: number, nowMs: number, offered: OfferedSubmission["futureRelease"]): Reply | undefined {
  if (offered === undefined || untilMs <= nowMs + offered.maxMs) return undefined;
  return reply(501, "5.5.4", `A message is held for at most ${offered.maxMs / 1000} seconds`);
}

function takeBy(found: SubmissionSoFar, value: string, { nowMs, deliverBy }: OfferedSubmission): Reply | undefined {
  const [, sign, digits, mode, trace] = /^([+-]?)(\d{1,9});([NR])(T?)$/i.exec(value) ?? [];
  if (found.deliverBy !== undefined || digits === undefined) return bad("BY");
  const seconds = Number(digits) * (sign === "-" ? -1 : 1);
  const returned = mode?.toUpperCase() === "R";
  if (returned && seconds <= 0) return bad("BY"); // RFC 2852 §4
  const minMs = deliverBy?.minMs ?? 0;
  if (returned && seconds * 1000 < minMs) {
    return reply(555, "5.5.4", `BY with R takes at least ${minMs / 1000} seconds`);
  }
  found.deliverBy = { untilMs: nowMs + seconds * 1000, mode: returned ? "R" : "N", trace: trace !== "" };
  return undefined;
}

function takePriority(found: SubmissionSoFar, value: string): Reply | undefined {
  if (found.priority !== undefined || !/^(?:0|-?[1-9])$/.test(value)) {
    return reply(501, "5.5.2", "Bad MT-PRIORITY parameter syntax");
  }
  found.priority = Number(value);
  return undefined;
}

function bad(name: string): Reply {
  return reply(501, "5.5.4", `Bad ${name} parameter syntax`);
}
