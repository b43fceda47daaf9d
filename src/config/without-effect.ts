/** config/without-effect.ts: parameters that Postfix has and nothing here looks at: what stands in their place, so that the
 *  warning of `postern check` says what to do. Several with one answer are one warning. */
import { POSTFIX_NAMES } from "./postfix-names.ts";
import { REGISTRY } from "./registry.ts";
import type { Assignment, Problem } from "./snapshot.ts";

interface Answer {
  readonly names: RegExp;
  readonly hint: string;
}

const ANSWERS: readonly Answer[] = [
  { names: /^(?:multi_instance|postmulti)_/, hint: "start each instance by itself: postern -c DIR start" },
  {
    names: /^(?:postscreen|dnsblog)_/,
    hint: "postscreen's tests are not done: use reject_rbl_client, check_client_access and smtpd_client_connection_rate_limit",
  },
  { names: /^tlsproxy_/, hint: "smtpd does its TLS itself" },
  {
    names:
      /^(?:(?:html|manpage|readme|sample|meta|shlib|process_id|alternate_config)_director(?:y|ies)|(?:mailq|newaliases|sendmail|openssl)_path|setgid_group)$/,
    hint: "Postern has no such files",
  },
  {
    names: /^prox(?:y_|ymap_|ywrite_)/,
    hint: "the workers open every table themselves, with proxy: in front or without",
  },
  { names: /_tls_session_cache_(?:database|timeout)$/, hint: "TLS sessions are kept in memory" },
  {
    names:
      /^(?:smtpd_tls_dh\d+_param_file|smtpd_tls_eecdh_grade|tls_eecdh_(?:strong|ultra)_curve|tls_ffdhe_auto_groups)$/,
    hint: "parameters of key exchange are OpenSSL's own",
  },
  { names: /_tls_d(?:cert|key)_file$/, hint: "there is no DSA in TLS any more" },
  { names: /^tls_(?:random_|daemon_random_bytes)/, hint: "random bytes come from the system" },
  {
    names: /^tls_server_sni_maps$/,
    hint: "clients get the certificate of the service, whatever name they ask for: let it have all names, or use a service on another address",
  },
  {
    names:
      /^(?:max_(?:use|idle)|default_process_limit|fork_(?:attempts|delay)|ipc_\w+|service_throttle_time|daemon_timeout|trigger_timeout|stale_lock_time|in_flow_delay|hash_queue_\w+|master_service_disable|\w+_service_name)$/,
    hint: "postern_workers processes do the work of Postfix's",
  },
  {
    names:
      /^(?:mailbox_delivery_lock|virtual_mailbox_lock|deliver_lock_\w+|strict_mailbox_ownership|sun_mailtool_compatibility)$/,
    hint: "only maildirs are written, without locks",
  },
  {
    names:
      /^(?:default_delivery_slot_\w+|default_minimum_delivery_slots|default_(?:extra_)?recipient_(?:limit|refill_\w+)|qmgr_message_recipient_minimum)$/,
    hint: "recipients are read as they come due",
  },
  {
    names: /^(?:berkeley_db_\w+|lmdb_map_size)$/,
    hint: "tables are read as text, or from the index of postern postmap",
  },
  { names: /verp_/, hint: "VERP is not done" },
  { names: /^qmqpd_/, hint: "qmqpd does not exist here" },
  { names: /^maps_rbl_domains$/, hint: "write reject_rbl_client DOMAIN into the restrictions" },
  { names: /^(?:empty_address_)?local_login_sender_maps/, hint: "sendmail -f takes any sender" },
  { names: /_sasl_auth_cache_(?:name|time)$/, hint: "a failed login is tried again with the next delivery" },
  { names: /^biff$/, hint: "nobody is told of new mail" },
  { names: /^best_mx_transport$/, hint: "list the domains in mydestination" },
  { names: /^debug(?:_peer_level|ger_command)$/, hint: "debug_peer_list names whose sessions are logged in full" },
];

/** Old names of Postfix's own that its defaults still look at. */
const OLD_NAMES: ReadonlySet<string> = new Set([
  "authorized_verp_clients",
  "postscreen_blacklist_action",
  "postscreen_dnsbl_ttl",
  "postscreen_dnsbl_whitelist_threshold",
  "postscreen_whitelist_interfaces",
]);

/** What is an error elsewhere: what they demand is not done. */
const REFUSED = /^(?:smtp|lmtp)_tls_per_site$/;

/** Settings that ask for what is so anyway. An empty value asks for nothing. */
const SO_ANYWAY: ReadonlyMap<string, RegExp> = new Map([
  ["biff", /^no$/i],
  ["html_directory", /^no$/i],
  ["manpage_directory", /^no$/i],
  ["readme_directory", /^no$/i],
  ["sample_directory", /^no$/i],
  ["in_flow_delay", /^0s?$/],
]);

/** True if Postfix has it and nothing here looks at it. */
export function isWithoutEffect(name: string): boolean {
  return !Object.hasOwn(REGISTRY, name) && (POSTFIX_NAMES.has(name) || OLD_NAMES.has(name));
}

/** One warning for those of a file that have one answer, at the first of them; one each for those that have none. */
export function checkWithoutEffect(all: readonly Assignment[]): readonly Problem[] {
  const groups = new Map<string, Assignment[]>();
  for (const assignment of all) {
    const { name, value, at } = assignment;
    if (!isWithoutEffect(name) || REFUSED.test(name) || value === "" || SO_ANYWAY.get(name)?.test(value)) continue;
    const key = `${at.file} ${answerFor(name) ?? `${name} ${at.line}`}`;
    groups.set(key, [...(groups.get(key) ?? []), assignment]);
  }
  return [...groups.values()].flatMap((group) => warningOf(group));
}

function answerFor(name: string): string | undefined {
  return ANSWERS.find(({ names }) => names.test(name))?.hint;
}

function warningOf([first, ...others]: readonly Assignment[]): readonly Problem[] {
  if (first === undefined) return [];
  const { name, at } = first;
  const hint = answerFor(name);
  const more = others.map((other) => `${other.name} (line ${other.at.line})`);
  const text =
    more.length === 0
      ? `parameter ${name} is known to Postfix but has no effect here`
      : `parameters known to Postfix but without effect here: ${[name, ...more].join(", ")}`;
  return [{ severity: "warning", at, text, hint }];
}
