/** config/params/smtp.ts: the parameters of the relay client, each declared once; TLS is in smtp-tls.ts.
 *  Postfix has nearly every one twice, as smtp_… and as lmtp_… with a few different defaults; twice() declares both names from one text. */
import { bool, type Declaration, int, list, text, time, word, words } from "../declare.ts";

const SINCE_ZERO = { min: 0 };
const SECOND = { min: 1000 };

type Protocol = "smtp" | "lmtp";

/** Where the defaults of the two protocols differ. */
interface Differences {
  readonly connectTimeout: string;
  readonly tcpPort: string;
  readonly skipQuit: string;
  readonly fallbackRelay: string;
}

function timeLimits(p: Protocol, d: Differences) {
  return {
    connect_timeout: time(d.connectTimeout, "s", SINCE_ZERO, "Time limit for a TCP connection; 0: the system's limit."),
    mail_timeout: time("300s", "s", SECOND, "Time limit for the reply to MAIL FROM."),
    rcpt_timeout: time("300s", "s", SECOND, "Time limit for the reply to RCPT TO."),
    data_init_timeout: time("120s", "s", SECOND, "Time limit for the reply to DATA."),
    data_xfer_timeout: time("180s", "s", SECOND, "Time limit for each piece of the message content to be taken."),
    data_done_timeout: time("600s", "s", SECOND, "Time limit for the reply to the end of the message."),
    quit_timeout: time("300s", "s", SECOND, "Time limit for the reply to QUIT."),
    rset_timeout: time("20s", "s", SECOND, "Time limit for the reply to RSET."),
    starttls_timeout: time("300s", "s", SECOND, "Time limit for the reply to STARTTLS and for the TLS handshake."),
    per_request_deadline: bool(
      `\${${p}_per_record_deadline?{$${p}_per_record_deadline}:{no}}`,
      "Time limits are for a whole command or reply and, with the data rate, for the content; no: for each line or block.",
    ),
    min_data_rate: int(
      "500",
      { min: 1 },
      "Bytes a second that a content must be taken at, under per-request deadlines.",
    ),
  };
}

function hosts(p: Protocol, d: Differences) {
  return {
    tcp_port: text(d.tcpPort, "Port, or name of a port, where the next hop does not name one."),
    bind_address: text("", "Own IPv4 address to connect from."),
    bind_address6: text("", "Own IPv6 address to connect from."),
    bind_address_enforce: bool(
      "no",
      "Defer mail when the own address cannot be used; no: warn, and connect from any address.",
    ),
    fallback_relay: list(
      d.fallbackRelay,
      "Relay hosts for mail whose next hop does not exist or cannot be reached, tried in this order.",
    ),
    host_lookup: words(
      "dns",
      ["dns", "native"],
      "How the addresses of hosts are looked up: dns, native (/etc/hosts); native comes second if both are given.",
    ),
    address_preference: word(
      "any",
      ["any", "ipv4", "ipv6"],
      "Addresses to try first among those of equal preference: any mixes them.",
    ),
    balance_inet_protocols: bool(
      "yes",
      `Have IPv4 and IPv6 addresses among the first ${p}_mx_address_limit, where a destination has both.`,
    ),
    randomize_addresses: bool("yes", "Mix mail exchangers of equal preference."),
    dns_reply_filter: list(
      "",
      "Tables asked with each MX, A and AAAA record, `name ttl IN type preference value`; IGNORE drops the record.",
    ),
    mx_address_limit: int("5", SINCE_ZERO, "Most addresses of a destination that are tried; 0: all."),
    mx_session_limit: int("2", SINCE_ZERO, "Most sessions per delivery; 0: no limit."),
    defer_if_no_mx_address_found: bool("no", "Defer, not bounce, when no mail exchanger has an address."),
  };
}

function dialogue(d: Differences) {
  return {
    reply_filter: text("", "Table asked with each reply line of a server; what it finds is taken for the line."),
    delivery_status_filter: list(
      "$default_delivery_status_filter",
      "Tables asked with `status text` of each recipient's outcome; what they find replaces both, success stays success.",
    ),
    quote_rfc821_envelope: bool("yes", "Quote local parts in MAIL and RCPT where RFC 5321 demands it."),
    line_length_limit: int("998", SINCE_ZERO, "Longer lines are broken by CRLF and a blank; 0: none are."),
    skip_5xx_greeting: bool("yes", "Treat a 5xx greeting as temporary: the next mail exchanger is tried."),
    skip_quit_response: bool(d.skipQuit, "Do not wait for the reply to QUIT."),
    connection_cache_on_demand: bool(
      "yes",
      "Keep connections for a short while, for further mail to the same next hop.",
    ),
    connection_cache_destinations: list(
      "",
      "Domains and hosts whose connections are kept also without connection_cache_on_demand; no tables.",
    ),
    connection_cache_time_limit: time("2s", "s", SECOND, "How long an unused connection is kept."),
    connection_reuse_count_limit: int("0", SINCE_ZERO, "Most deliveries over one connection; 0: no limit."),
    connection_reuse_time_limit: time("300s", "s", SECOND, "How long a connection is used for further deliveries."),
  };
}

function logins(p: Protocol) {
  return {
    sasl_auth_enable: bool("no", "Log in where the next hop offers AUTH and there is a password for it."),
    sasl_auth_soft_bounce: bool("yes", "Defer mail when the next hop refuses the login; no: return it."),
    sasl_password_maps: list("", "Tables of passwords: next hop (or mail exchanger, or sender) to user:password."),
    sasl_mechanism_filter: list(
      "",
      "Mechanisms that may be used, `!` in front of those that may not; empty: all but EXTERNAL, OAUTHBEARER and XOAUTH2, which must be named.",
    ),
    sasl_security_options: list(
      "noplaintext, noanonymous",
      "Mechanisms not to use: noplaintext, noactive, nodictionary, noanonymous; mutual_auth: only those where the server proves itself.",
    ),
    sasl_tls_security_options: list(`$${p}_sasl_security_options`, `${p}_sasl_security_options for TLS sessions.`),
    sasl_tls_verified_security_options: list(
      `$${p}_sasl_tls_security_options`,
      `${p}_sasl_security_options for TLS sessions in which the certificate was verified (levels fingerprint and above).`,
    ),
    sender_dependent_authentication: bool("no", "Look passwords up by sender first."),
  };
}

function shared(p: Protocol, d: Differences) {
  return { ...timeLimits(p, d), ...hosts(p, d), ...dialogue(d), ...logins(p) };
}

type Prefixed<P extends string, T> = { readonly [K in keyof T & string as `${P}_${K}`]: T[K] };

function twice<P extends Protocol>(prefix: P, differences: Differences): Prefixed<P, ReturnType<typeof shared>> {
  const entries = Object.entries(shared(prefix, differences)).map(([name, d]) => [`${prefix}_${name}`, d]);
  return Object.fromEntries(entries) as Prefixed<P, ReturnType<typeof shared>>;
}

export const SMTP_PARAMETERS = {
  ...twice("smtp", { connectTimeout: "30s", tcpPort: "smtp", skipQuit: "yes", fallbackRelay: "$fallback_relay" }),
  ...twice("lmtp", { connectTimeout: "0s", tcpPort: "24", skipQuit: "no", fallbackRelay: "" }),
  smtp_helo_timeout: time("300s", "s", SECOND, "Time limit for the greeting and for the reply to EHLO or HELO."),
  lmtp_lhlo_timeout: time("300s", "s", SECOND, "Time limit for the greeting and for the reply to LHLO."),
  smtp_header_checks: list(
    "",
    "As header_checks, for what leaves by SMTP: only IGNORE, STRIP, PREPEND, REPLACE, INFO, WARN and DUNNO. The queue keeps the old text.",
  ),
  smtp_mime_header_checks: list("", "As mime_header_checks, for what leaves by SMTP; see smtp_header_checks."),
  smtp_nested_header_checks: list("", "As nested_header_checks, for what leaves by SMTP; see smtp_header_checks."),
  smtp_body_checks: list("", "As body_checks, for what leaves by SMTP, of any size; see smtp_header_checks."),
  lmtp_header_checks: list("", "As smtp_header_checks, for what leaves by LMTP."),
  lmtp_mime_header_checks: list("", "As smtp_mime_header_checks, for what leaves by LMTP."),
  lmtp_nested_header_checks: list("", "As smtp_nested_header_checks, for what leaves by LMTP."),
  lmtp_body_checks: list("", "As smtp_body_checks, for what leaves by LMTP."),
  smtp_generic_maps: list(
    "",
    "Tables address → address for what leaves by SMTP, envelope and header: for addresses that mean something here only.",
  ),
  lmtp_generic_maps: list("", "As smtp_generic_maps, for what leaves by LMTP."),
  smtp_send_xforward_command: bool(
    "no",
    "Tell a next hop that announces XFORWARD where the mail came from: for content filters.",
  ),
  lmtp_send_xforward_command: bool("no", "As smtp_send_xforward_command."),
  smtp_xforward_timeout: time("300s", "s", SECOND, "Time limit for the reply to XFORWARD."),
  lmtp_xforward_timeout: time("300s", "s", SECOND, "Time limit for the reply to XFORWARD."),
  smtp_helo_name: text("$myhostname", "The name in EHLO and HELO."),
  lmtp_lhlo_name: text("$myhostname", "The name in LHLO."),
  smtp_discard_ehlo_keywords: list("", "Extensions of the next hop that are taken as not offered."),
  smtp_discard_ehlo_keyword_address_maps: list("", "Tables of such extensions by address of the server."),
  lmtp_discard_lhlo_keyword_address_maps: list("", "Tables of such extensions by address of the server."),
  smtp_always_send_ehlo: bool("yes", "Send EHLO to each server; no: only to those with ESMTP in their greeting."),
  smtp_never_send_ehlo: bool("no", "Send HELO to each server."),
  default_delivery_status_filter: list(
    "",
    "Default of smtp_delivery_status_filter and of those of lmtp, local, virtual and pipe.",
  ),
  ignore_mx_lookup_error: bool(
    "no",
    "Go on to the address of the domain when its mail exchangers cannot be looked up.",
  ),
  disable_dns_lookups: bool(
    "no",
    "Domains have no mail exchangers, they are names of hosts, where smtp_dns_support_level is empty.",
  ),
  disable_mime_output_conversion: bool("no", "Send 8-bit content as it is to servers that do not offer 8BITMIME."),
  lmtp_discard_lhlo_keywords: list("", "Extensions of the next hop that are taken as not offered."),
} satisfies Record<string, Declaration<unknown>>;
