/** config/params/qmgr.ts: the parameters of qmgr, each declared once. `<transport>_destination_…` overrides are read with
 *  Parameters.forTransport() and need no declaration, except where Postfix's default differs. */
import { bool, type Declaration, int, list, text, time } from "../declare.ts";

const SINCE_ZERO = { min: 0 };

export const QMGR_PARAMETERS = {
  qmgr_message_active_limit: int("20000", { min: 1 }, "Most messages that are being scheduled at one time per worker."),
  qmgr_message_recipient_limit: int(
    "20000",
    { min: 1 },
    "Most recipients that are held in memory at one time per worker; a new message is still taken whole.",
  ),
  defer_transports: list(
    "",
    "Transports (names in master.cf) that deliver nothing: their mail is deferred, until someone flushes the queue (postqueue -f).",
  ),
  default_filter_nexthop: text(
    "",
    "Next hop of content_filter and FILTER where they name a transport only. Empty: the recipient's domain.",
  ),
  minimal_backoff_time: time("300s", "s", { min: 1000 }, "Shortest time between two tries of a deferred recipient."),
  maximal_backoff_time: time("4000s", "s", { min: 1000 }, "Longest time between two tries of a deferred recipient."),
  maximal_queue_lifetime: time(
    "5d",
    "d",
    { min: 0, max: 8_640_000_000 },
    "A message that is still deferred after this time is returned to its sender. 0: after the first try.",
  ),
  bounce_queue_lifetime: time(
    "5d",
    "d",
    { min: 0, max: 8_640_000_000 },
    "As maximal_queue_lifetime, for messages with the null sender (bounces): they are given up after this time.",
  ),
  queue_run_delay: time("300s", "s", { min: 1000 }, "Longest time between two looks for due mail in the queue."),
  transport_retry_time: time(
    "60s",
    "s",
    { min: 1000 },
    "How long a destination that failed as a whole is left alone before the next try.",
  ),
  initial_destination_concurrency: int(
    "5",
    { min: 1 },
    "Parallel deliveries to a destination at the beginning. TRANSPORT_initial_destination_concurrency overrides it.",
  ),
  default_destination_concurrency_limit: int(
    "20",
    SINCE_ZERO,
    "Most parallel deliveries to one destination; 0: no limit. TRANSPORT_destination_concurrency_limit overrides it.",
  ),
  default_destination_recipient_limit: int(
    "50",
    SINCE_ZERO,
    "Most recipients in one delivery of a message; 0: no limit. TRANSPORT_destination_recipient_limit overrides it.",
  ),
  default_destination_concurrency_positive_feedback: text(
    "1",
    "What a success adds to a destination's concurrency: a number, or number/concurrency, or number/sqrt_concurrency.",
  ),
  default_destination_concurrency_negative_feedback: text(
    "1",
    "What a failed connection takes from a destination's concurrency; same syntax as for success.",
  ),
  default_destination_concurrency_failed_cohort_limit: int(
    "1",
    SINCE_ZERO,
    "A destination is left alone for $transport_retry_time when this many rounds of deliveries failed. 0: never.",
  ),
  default_destination_rate_delay: time(
    "0s",
    "s",
    SINCE_ZERO,
    "Time between two deliveries to one destination; above 0 the concurrency is 1. TRANSPORT_destination_rate_delay overrides it.",
  ),
  default_transport_rate_delay: time(
    "0s",
    "s",
    SINCE_ZERO,
    "Time between two deliveries of one transport, whatever the destination; above 0 it delivers one at a time. TRANSPORT_transport_rate_delay overrides it.",
  ),
  local_destination_concurrency_limit: int("2", SINCE_ZERO, "As default_destination_concurrency_limit, for local(8)."),
  local_destination_recipient_limit: int("1", SINCE_ZERO, "Recipients in one delivery by local(8)."),
  soft_bounce: bool("no", "Turn every final failure into a temporary one, logged as SOFTBOUNCE; for testing."),
  delay_logging_resolution_limit: int(
    "2",
    { min: 0, max: 6 },
    "Most digits behind the point in the delay= and delays= fields of the log.",
  ),
} satisfies Record<string, Declaration<unknown>>;
