/** config/params/verify.ts: the parameters of address verification (verify(8), ADDRESS_VERIFICATION_README), each declared
 *  once: those of the restrictions, of the record of results, and of the probes. */
import { bool, type Declaration, int, list, text, time, word } from "../declare.ts";

const TEMPFAIL_ACTIONS = ["defer_if_permit", "defer"] as const;
const SECOND = { min: 1000 };
const TARGETS = ["rcpt", "data"] as const;

function code(doc: string): Declaration<number> {
  return int("450", { min: 400, max: 599 }, doc);
}

const RESTRICTION = {
  unverified_sender_reject_code: code(
    "Reply code of reject_unverified_sender for an address that a probe has found undeliverable.",
  ),
  unverified_sender_defer_code: code("Reply code of reject_unverified_sender after a probe that failed for now."),
  unverified_sender_reject_reason: text("", "What the client is told instead of the reason that the probe has found."),
  unverified_sender_tempfail_action: word(
    "$reject_tempfail_action",
    TEMPFAIL_ACTIONS,
    "reject_tempfail_action for reject_unverified_sender while the address is not known.",
  ),
  unverified_recipient_reject_code: code(
    "Reply code of reject_unverified_recipient for an address that a probe has found undeliverable.",
  ),
  unverified_recipient_defer_code: code("Reply code of reject_unverified_recipient after a probe that failed for now."),
  unverified_recipient_reject_reason: text(
    "",
    "What the client is told instead of the reason that the probe has found.",
  ),
  unverified_recipient_tempfail_action: word(
    "$reject_tempfail_action",
    TEMPFAIL_ACTIONS,
    "reject_tempfail_action for reject_unverified_recipient while the address is not known.",
  ),
  address_verify_poll_count: int(
    "${stress?{1}:{3}}",
    { min: 1 },
    "How often a restriction asks for the result of a probe before the client is told to come back.",
  ),
  address_verify_poll_delay: time("3s", "s", SECOND, "Time between two such questions."),
};

const RECORD = {
  address_verify_map: text(
    "btree:$data_directory/verify_cache",
    "Where results are kept. Postern has a file of its own for them, address_verify.sqlite in queue_directory/queue, whatever is named here. Empty: in the memory of each worker.",
    { restart: true },
  ),
  address_verify_positive_expire_time: time("31d", "d", SECOND, "How long a deliverable address is taken for one."),
  address_verify_positive_refresh_time: time(
    "7d",
    "d",
    SECOND,
    "Age from which a deliverable address is probed again. Until it expires it stays deliverable, also when that probe fails.",
  ),
  address_verify_negative_cache: bool(
    "yes",
    "Keep the results of probes that failed. no: each question sends a probe.",
  ),
  address_verify_negative_expire_time: time("3d", "d", SECOND, "How long a failed probe counts."),
  address_verify_negative_refresh_time: time("3h", "h", SECOND, "Age from which a failed probe is repeated."),
  address_verify_cache_cleanup_interval: time(
    "12h",
    "h",
    { min: 0 },
    "Time between removals of expired results; 0: never.",
  ),
};

const PROBE = {
  address_verify_sender: text(
    "$double_bounce_sender",
    "The sender of probes; empty or <>: the null sender. Mail to it passes all access restrictions if its domain is ours.",
  ),
  address_verify_sender_ttl: time(
    "0s",
    "s",
    { min: 0 },
    "Time after which a time-dependent part of the probe sender changes, so that nobody can use an old one. 0: no such part.",
  ),
  address_verify_pending_request_limit: int(
    "5000",
    { min: 1 },
    "Most probes that a worker has under way; others fail for now.",
  ),
  address_verify_local_transport: text("$local_transport", "local_transport for probes."),
  address_verify_virtual_transport: text("$virtual_transport", "virtual_transport for probes."),
  address_verify_relay_transport: text("$relay_transport", "relay_transport for probes."),
  address_verify_default_transport: text("$default_transport", "default_transport for probes."),
  address_verify_relayhost: text("$relayhost", "relayhost for probes."),
  address_verify_transport_maps: list("$transport_maps", "transport_maps for probes."),
  address_verify_sender_dependent_relayhost_maps: list(
    "$sender_dependent_relayhost_maps",
    "sender_dependent_relayhost_maps for probes.",
  ),
  address_verify_sender_dependent_default_transport_maps: list(
    "$sender_dependent_default_transport_maps",
    "sender_dependent_default_transport_maps for probes.",
  ),
  smtp_address_verify_target: word(
    "rcpt",
    TARGETS,
    "The last command of a probe: rcpt, or data for next hops that refuse recipients only there.",
  ),
  lmtp_address_verify_target: word("rcpt", TARGETS, "The last command of a probe."),
};

export const VERIFY_PARAMETERS = { ...RESTRICTION, ...RECORD, ...PROBE } satisfies Record<string, Declaration<unknown>>;
