/** qmgr/limits.ts: the scheduling limits of one transport (postconf(5): TRANSPORT_destination_…), and what of them is one
 *  worker's: limits are the server's, each worker has a share or leases its slots (design §4, Lanes across workers). */
import { ParameterError, Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";

/** What one event changes, as a function of the present concurrency. */
export type Feedback = (concurrency: number) => number;

export interface TransportLimits {
  readonly initialConcurrency: number;
  /** Of one lane in this worker: its share, or all of it when `leased`. */
  readonly concurrency: number;
  /** Too small to be divided, or at a fixed rate: the slots of a lane are counted over all workers. */
  readonly leased: boolean;
  readonly recipients: number;
  readonly retryMs: number;
  readonly rateDelayMs: number;
  /** Between two deliveries of the whole transport, whatever their destinations. Above 0 it delivers one at a time. */
  readonly transportRateDelayMs: number;
  readonly failedCohorts: number;
  readonly positive: Feedback;
  readonly negative: Feedback;
}

/** `TRANSPORT_suffix`, and the parameter that holds where nobody has set it. */
const FALLBACKS = {
  destination_rate_delay: "default_destination_rate_delay",
  destination_concurrency_limit: "default_destination_concurrency_limit",
  initial_destination_concurrency: "initial_destination_concurrency",
  destination_recipient_limit: "default_destination_recipient_limit",
  transport_retry_time: "transport_retry_time",
  transport_rate_delay: "default_transport_rate_delay",
  destination_concurrency_failed_cohort_limit: "default_destination_concurrency_failed_cohort_limit",
  destination_concurrency_positive_feedback: "default_destination_concurrency_positive_feedback",
  destination_concurrency_negative_feedback: "default_destination_concurrency_negative_feedback",
} as const satisfies Record<string, ParameterName>;

type Suffix = keyof typeof FALLBACKS;

/** The limits that hold for `transport` in each of `workers`. 0 in the configuration becomes Infinity where it means "no
 *  limit". Throws ParameterError. */
export function limitsOf(params: Parameters, transport: string, workers = 1): TransportLimits {
  const read = <S extends Suffix>(suffix: S) => params.forTransport(transport, suffix, FALLBACKS[suffix]);
  const rateDelayMs = read("destination_rate_delay");
  const limit = unlimited(read("destination_concurrency_limit"));
  const { concurrency, leased } = shareOf(rateDelayMs > 0 ? 1 : limit, workers);
  return {
    initialConcurrency: Math.min(read("initial_destination_concurrency"), concurrency),
    concurrency,
    leased,
    recipients: unlimited(read("destination_recipient_limit")),
    retryMs: read("transport_retry_time"),
    rateDelayMs,
    transportRateDelayMs: read("transport_rate_delay"),
    failedCohorts: unlimited(read("destination_concurrency_failed_cohort_limit")),
    positive: parseFeedback(read("destination_concurrency_positive_feedback")),
    negative: parseFeedback(read("destination_concurrency_negative_feedback")),
  };
}

/** Those that hold where nothing is configured. */
export function builtInLimits(transport: string, workers = 1): TransportLimits {
  return limitsOf(new Parameters({ assignments: [], builtins: new Map() }), transport, workers);
}

/** What of a transport's limits cannot be read, each with the parameter that says so. */
export function badLimits(
  params: Parameters,
  transport: string,
): readonly { readonly parameter: string; readonly text: string }[] {
  return (Object.keys(FALLBACKS) as Suffix[]).flatMap((suffix) => {
    try {
      const value = params.forTransport(transport, suffix, FALLBACKS[suffix]);
      if (suffix.endsWith("_feedback")) parseFeedback(String(value));
      return [];
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      const own = `${transport}_${suffix}`;
      const parameter = params.source(own) === undefined ? FALLBACKS[suffix] : own;
      const named = error.message.includes(parameter) ? error.message : `${parameter}: ${error.message}`;
      return [{ parameter, text: named }];
    }
  });
}

/** `1`, `0.5`, `1/concurrency`, `1/sqrt_concurrency`, `1 / 8`. Throws ParameterError, also for numbers outside [0, 1]. */
export function parseFeedback(text: string): Feedback {
  const m = /^(\d+(?:\.\d+)?)(?:\s*\/\s*(\d+(?:\.\d+)?|concurrency|sqrt_concurrency))?$/.exec(text.trim());
  const numerator = Number(m?.[1]);
  const divisor = m?.[2];
  const constant = divisor === undefined ? 1 : Number(divisor);
  const worst = Number.isNaN(constant) ? numerator : numerator / constant;
  if (!m || !(worst <= 1)) throw new ParameterError(`bad concurrency feedback: ${text}; specify a number from 0 to 1`);
  if (divisor === "concurrency") return (concurrency) => numerator / concurrency;
  if (divisor === "sqrt_concurrency") return (concurrency) => numerator / Math.sqrt(concurrency);
  return () => worst;
}

/** What one worker may use of a limit of the whole server. A limit that is not much above the number of workers would be
 *  exceeded by rounding up, so its slots are leased. */
function shareOf(limit: number, workers: number): Pick<TransportLimits, "concurrency" | "leased"> {
  const leased = workers > 1 && limit < 2 * workers;
  return { leased, concurrency: leased ? limit : Math.ceil(limit / workers) };
}

function unlimited(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : limit;
}
