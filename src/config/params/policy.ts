/** config/params/policy.ts: the parameters of policy servers (check_policy_service), each declared once.
 *  All but the last can be set for one server: `check_policy_service { inet:host:port, timeout=10s, … }`. */
import { type Declaration, int, text, time } from "../declare.ts";

const OVERRIDE = "One server can have its own: `check_policy_service { inet:host:port, NAME=value }`, with the name ";

export const POLICY_PARAMETERS = {
  smtpd_policy_service_timeout: time(
    "100s",
    "s",
    { min: 1000 },
    "How long one request to a policy server may take in all: connecting, waiting for a free connection, all tries. " +
      `Then smtpd_policy_service_default_action applies. ${OVERRIDE}\`timeout\`.`,
  ),
  smtpd_policy_service_max_idle: time(
    "300s",
    "s",
    { min: 1000 },
    `A connection to a policy server that nobody uses is closed after this time. ${OVERRIDE}\`max_idle\`.`,
  ),
  smtpd_policy_service_max_ttl: time(
    "1000s",
    "s",
    { min: 1000 },
    `A connection to a policy server is not used for longer than this. ${OVERRIDE}\`max_ttl\`.`,
  ),
  smtpd_policy_service_request_limit: int(
    "0",
    { min: 0 },
    `The most requests over one connection to a policy server; 0 means no limit. ${OVERRIDE}\`request_limit\`.`,
  ),
  smtpd_policy_service_try_limit: int(
    "2",
    { min: 1 },
    "How often a request is sent before smtpd_policy_service_default_action applies. A failure on a connection that had " +
      `been used before does not count: the request is sent again over a new one at once. ${OVERRIDE}\`try_limit\`.`,
  ),
  smtpd_policy_service_retry_delay: time(
    "1s",
    "s",
    { min: 1000 },
    `The time between two tries of one request. ${OVERRIDE}\`retry_delay\`.`,
  ),
  smtpd_policy_service_default_action: text(
    "451 4.3.5 Server configuration problem",
    "What applies when a policy server gives no answer: any access(5) action. `DUNNO` lets mail pass unchecked while the " +
      `server is down. ${OVERRIDE}\`default_action\`, and blanks in braces: \`{ default_action = 451 4.3.5 text }\`.`,
  ),
  smtpd_policy_service_policy_context: text(
    "",
    "Sent with every request as `policy_context`, so that one policy server can tell services apart. " +
      `${OVERRIDE}\`policy_context\`.`,
  ),
  smtpd_policy_service_connection_limit: int(
    "32",
    { min: 1, max: 1000 },
    "The most connections of one worker process to one policy server. Sessions share them; a request that finds none " +
      "free waits, within smtpd_policy_service_timeout.",
    { origin: "postern" },
  ),
} satisfies Record<string, Declaration<unknown>>;
