/** config/params/anvil.ts: limits of what one client may do, and how often (anvil(8), smtpd(8)), each declared once.
 *  smtpd_client_restrictions is in access.ts, smtpd_client_port_logging in smtpd.ts. */
import { type Declaration, int, list, time } from "../declare.ts";

function limit(defaultText: string, what: string): Declaration<number> {
  return int(defaultText, { min: 0 }, `${what}, over all workers; 0 is no limit.`);
}

function rate(what: string): Declaration<number> {
  return limit("0", `${what} within anvil_rate_time_unit`);
}

export const ANVIL_PARAMETERS = {
  anvil_rate_time_unit: time("60s", "s", { min: 1000 }, "The time unit of the smtpd_client_*_rate_limit parameters."),
  anvil_status_update_time: time(
    "600s",
    "s",
    { min: 1000 },
    "How often the highest counts and rates since the last time are logged (postfix/anvil: statistics: …).",
  ),
  smtpd_client_connection_count_limit: limit(
    "50",
    "How many connections one client may have to a service at a time; further ones get 421",
  ),
  smtpd_client_connection_rate_limit: rate("How many connections one client may make to a service"),
  smtpd_client_message_rate_limit: rate("How many MAIL commands one client may send to a service, accepted or not"),
  smtpd_client_recipient_rate_limit: rate("How many RCPT commands one client may send to a service, accepted or not"),
  smtpd_client_new_tls_session_rate_limit: rate(
    "How many TLS sessions one client may negotiate with a service; resumed ones do not count",
  ),
  smtpd_client_auth_rate_limit: rate("How many AUTH commands one client may send to a service, successful or not"),
  smtpd_client_event_limit_exceptions: list(
    "${smtpd_client_connection_limit_exceptions:$mynetworks}",
    "Clients that the smtpd_client_*_limit parameters do not count: networks, addresses, host names, .domains, type:table.",
  ),
  smtpd_client_ipv4_prefix_length: int(
    "32",
    { min: 0, max: 32 },
    "IPv4 clients that have this many leading bits in common are counted as one client.",
  ),
  smtpd_client_ipv6_prefix_length: int(
    "84",
    { min: 0, max: 128 },
    "IPv6 clients that have this many leading bits in common are counted as one client.",
  ),
} satisfies Record<string, Declaration<unknown>>;
