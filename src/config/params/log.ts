/** config/params/log.ts: parameters of the mail log. */

import { bool, type Declaration, file, int, list, text, word } from "../declare.ts";
import { syslogServer } from "../syslog-server.ts";

const FACILITIES = [
  "auth",
  "authpriv",
  "cron",
  "daemon",
  "ftp",
  "kern",
  "lpr",
  "mail",
  "news",
  "security",
  "syslog",
  "user",
  "uucp",
  "local0",
  "local1",
  "local2",
  "local3",
  "local4",
  "local5",
  "local6",
  "local7",
] as const;

export const LOG_PARAMETERS = {
  maillog_file: file("", "Write the log to this file, or to /dev/stdout. Empty: syslog."),
  maillog_file_prefixes: list("/var, /dev/stdout", "Directories and files that maillog_file may begin with."),
  maillog_file_rotate_suffix: text(
    "%Y%m%d-%H%M%S",
    "What logrotate appends to the name of a finished log, for strftime.",
  ),
  maillog_file_permissions: word("0600", ["0600", "0640", "0644"], "The file mode of a new log."),
  maillog_file_compressor: text("gzip", "The program that compresses a finished log."),
  multi_instance_name: text(
    "",
    "The name of this instance, where several run on one machine; by default the first part of the name in log lines.",
  ),
  syslog_name: text(
    "${multi_instance_name?{$multi_instance_name}:{postfix}}",
    "The first part of the name in log lines, before the program: postfix/smtpd.",
  ),
  postern_log_format: word(
    "text",
    ["text", "json"],
    "The form of a log line: Postfix's, or one JSON object with the same text and its parts (docs/log-format.md).",
    { origin: "postern" },
  ),
  postern_syslog_server: syslogServer(
    "Send the log to this server too: udp:host:port, tcp:host:port or tls:host:port (RFC 5424 messages).",
  ),
  postern_syslog_tls_CAfile: file("", "Certificates that a tls: syslog server is trusted by. Empty: the public ones.", {
    origin: "postern",
  }),
  syslog_facility: word("mail", FACILITIES, "The syslog facility."),
  debug_peer_list: list(
    "",
    "Clients and servers whose whole dialogue is logged: names, addresses, net/mask, type:table.",
  ),
  postern_explain_log: bool(
    "yes",
    "After each refusal, log a second line that names the rule with its file and line.",
    {
      origin: "postern",
    },
  ),
  postern_refusal_log_limit: int(
    "100",
    { min: 0, max: 10_000 },
    "Refusals whose whole evaluation is kept in memory for `postern explain --last` and `postern explain ID`, the last ones of each worker. 0: none.",
    { origin: "postern" },
  ),
  postern_decision_log_limit: int(
    "10000",
    { min: 0, max: 1_000_000 },
    "Decisions about recipients, accepted and refused, that are kept in $data_directory for `postern diff --replay`: at least the last so many, at most twice. Client, HELO, login, sender and recipient are stored, no content. 0: none, and what was kept is removed.",
    { origin: "postern" },
  ),
} satisfies Record<string, Declaration<unknown>>;
