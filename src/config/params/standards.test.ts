/** Defaults are within what the standards ask, and what they forbid is off. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../parameters.ts";
import type { ParameterName } from "../registry.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const AT_LEAST: readonly (readonly [string, ParameterName, number])[] = [
  ["SMTP-28, LIM-08", "smtpd_timeout", 5 * MINUTE],
  ["OUT-08", "smtp_helo_timeout", 5 * MINUTE],
  ["OUT-08", "smtp_mail_timeout", 5 * MINUTE],
  ["OUT-08", "smtp_rcpt_timeout", 5 * MINUTE],
  ["OUT-08", "smtp_data_init_timeout", 2 * MINUTE],
  ["OUT-08", "smtp_data_xfer_timeout", 3 * MINUTE],
  ["OUT-08", "smtp_data_done_timeout", 10 * MINUTE],
  ["LIM-01", "line_length_limit", 1036],
  ["LIM-05", "message_size_limit", 64 << 10],
  ["LIM-06", "smtpd_recipient_limit", 100],
  ["LIM-15", "smtpd_sasl_response_limit", 12_288],
  ["LIM-17", "smtpd_hard_error_limit", 4],
  ["LIM-23", "maximal_queue_lifetime", 4 * 24 * HOUR],
  ["LIM-23", "bounce_queue_lifetime", 4 * 24 * HOUR],
];
for (const [ids, name, least] of AT_LEAST) {
  test(`${ids}: the default of ${name} is at least ${least}`, () => {
    assert.ok(Number(parametersOf({}).get(name)) >= least, String(parametersOf({}).get(name)));
  });
}

const BOUNDED: readonly (readonly [string, ParameterName, number])[] = [
  ["LIM-11", "smtpd_starttls_timeout", 5 * MINUTE],
  ["LIM-12", "header_size_limit", 102_400],
  ["LIM-13", "mime_nesting_limit", 100],
  ["LIM-13", "mime_boundary_length_limit", 2048],
  ["LIM-14", "hopcount_limit", 50],
  ["LIM-18", "smtpd_hard_error_limit", 20],
  ["LIM-18", "smtpd_junk_command_limit", 100],
  ["LIM-19", "smtpd_client_connection_count_limit", 50],
  ["LIM-10, SUB-21", "smtpd_policy_service_timeout", 2 * MINUTE],
  ["LIM-10, SUB-21", "milter_command_timeout", 2 * MINUTE],
];
for (const [ids, name, most] of BOUNDED) {
  test(`${ids}: the default of ${name} is a limit of at most ${most}`, () => {
    const value = Number(parametersOf({}).get(name));
    assert.ok(value > 0 && value <= most, String(value));
  });
}

const CHOSEN: readonly (readonly [string, ParameterName, unknown])[] = [
  ["AUTH-27", "smtpd_tls_ask_ccert", false],
  ["AUTH-28", "smtpd_sasl_auth_enable", false],
  ["AUTH-26", "broken_sasl_auth_clients", false],
  ["PIPE-08", "smtpd_forbid_unauth_pipelining", true],
  ["SMTP-35", "disable_vrfy_command", false],
];
for (const [ids, name, value] of CHOSEN) {
  test(`${ids}: the default of ${name} is ${value}`, () => {
    assert.equal(parametersOf({ compatibility_level: "3.10" }).get(name), value);
  });
}
