/** verify/record.ts: what a stored result is worth at a moment, and what becomes of it: the rules of verify(8), without a
 *  clock or a file. States of an address: unknown → todo (probed, no answer yet) → ok, defer or bounce → unknown (expired). */
import type { Parameters } from "../config/parameters.ts";
import type { AddressStatus } from "../mail/address-prober.ts";
import type { RcptOutcome } from "../mail/delivery.ts";
import type { StatusRecord, SweepLimit } from "../tables/status-cache.ts";

/** As stored. */
const OK = 0;
const DEFER = 1;
const BOUNCE = 2;
const TODO = 3;

const KINDS = ["deliverable", "unreachable", "undeliverable", "pending"] as const satisfies AddressStatus["kind"][];

/** A probe without an answer is given up after this time, and another one may be sent (PROBE_TTL of verify.c). */
const PROBE_LIFE_MS = 1_000_000;

/** Longest reason that is kept. */
const MAX_TEXT = 1000;

const IN_PROGRESS = "Address verification in progress";

/** Milliseconds. */
export interface RecordTimes {
  readonly positiveExpireMs: number;
  readonly positiveRefreshMs: number;
  readonly negativeExpireMs: number;
  readonly negativeRefreshMs: number;
  readonly keepsNegative: boolean;
}

export function recordTimes(params: Parameters): RecordTimes {
  return {
    positiveExpireMs: params.get("address_verify_positive_expire_time"),
    positiveRefreshMs: params.get("address_verify_positive_refresh_time"),
    negativeExpireMs: params.get("address_verify_negative_expire_time"),
    negativeRefreshMs: params.get("address_verify_negative_refresh_time"),
    keepsNegative: params.get("address_verify_negative_cache"),
  };
}

export interface Judgement {
  readonly status: AddressStatus;
  /** A probe is to be sent. */
  readonly probe: boolean;
  /** To be stored when it is sent; undefined: nothing. */
  readonly record: StatusRecord | undefined;
}

/** What a question is answered from a record. */
export function judge(stored: StatusRecord | undefined, nowMs: number, times: RecordTimes): Judgement {
  const fresh: StatusRecord = { status: TODO, probedMs: 0, updatedMs: 0, text: IN_PROGRESS };
  const known = stored !== undefined && !isExpired(stored, nowMs, times) ? stored : fresh;
  const status: AddressStatus = { kind: KINDS[known.status] ?? "pending", text: known.text };
  if (!isStale(known, nowMs, times)) return { status, probe: false, record: undefined };
  const kept = known.updatedMs !== 0 || times.keepsNegative;
  return { status, probe: true, record: kept ? { ...known, probedMs: nowMs } : undefined };
}

/** A probe under way keeps its own record. */
function isExpired({ status, probedMs, updatedMs }: StatusRecord, nowMs: number, times: RecordTimes): boolean {
  const age = nowMs - (updatedMs === 0 ? probedMs : updatedMs);
  return age > (status === OK ? times.positiveExpireMs : times.negativeExpireMs);
}

function isStale({ status, probedMs, updatedMs }: StatusRecord, nowMs: number, times: RecordTimes): boolean {
  if (nowMs - probedMs <= PROBE_LIFE_MS) return false;
  return nowMs - updatedMs > (status === OK ? times.positiveRefreshMs : times.negativeRefreshMs);
}

/** What to store when a probe has its answer; undefined: what is stored stays. A failed probe does not overrule a success:
 *  as long as some succeed, the address stays deliverable. */
export function answered(
  stored: StatusRecord | undefined,
  outcome: Pick<RcptOutcome, "kind" | "text">,
  { nowMs, times }: { readonly nowMs: number; readonly times: RecordTimes },
): StatusRecord | undefined {
  const status = outcome.kind === "sent" ? OK : outcome.kind === "bounced" ? BOUNCE : DEFER;
  if (status !== OK && stored?.status === OK && !isExpired(stored, nowMs, times)) return undefined;
  if (status !== OK && !times.keepsNegative) return undefined;
  return { status, probedMs: 0, updatedMs: nowMs, text: outcome.text.slice(0, MAX_TEXT) };
}

/** What is expired at that time. */
export function sweepLimits(nowMs: number, times: RecordTimes): readonly SweepLimit[] {
  return [OK, DEFER, BOUNCE, TODO].map((status) => ({
    status,
    beforeMs: nowMs - (status === OK ? times.positiveExpireMs : times.negativeExpireMs),
  }));
}
