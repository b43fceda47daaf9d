/** config/params/smtpd.ts: the parameters of the SMTP server dialogue, each declared once. Restrictions are in access.ts,
 *  TLS in tls.ts, SASL mechanisms in sasl.ts. */
import { bool, type Declaration, int, list, text, time, word } from "../declare.ts";

export const SMTPD_PARAMETERS = {
  smtpd_banner: text(
    "$myhostname ESMTP $mail_name",
    "Text behind the 220 of the greeting. RFC 5321 demands that it begins with $myhostname.",
  ),
  smtpd_history_flush_threshold: int(
    "100",
    { min: 1 },
    "A transcript for the postmaster (notify_classes) that has more lines is finished at EHLO, RSET and the end of a message.",
  ),
  smtpd_timeout: time(
    "${stress?{10}:{300}}s",
    "s",
    { min: 1000 },
    "How long the server waits for input of the client, or for the client to take output.",
  ),
  smtpd_per_request_deadline: bool(
    "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}",
    "Apply smtpd_timeout to a whole command line instead of to each read, and demand smtpd_min_data_rate in message content.",
  ),
  smtpd_min_data_rate: int(
    "500",
    { min: 1 },
    "Bytes a second that a client must send in message content when smtpd_per_request_deadline is yes.",
  ),
  smtpd_peername_lookup: bool("yes", "Look up the name of the client; with `no` every client is `unknown`."),
  smtpd_client_port_logging: bool("no", "Log the client's port: name[address]:port."),
  smtpd_helo_required: bool("no", "Demand HELO or EHLO before MAIL, AUTH and VRFY."),
  disable_vrfy_command: bool("no", "Refuse VRFY with 502."),
  smtpd_recipient_limit: int("1000", { min: 1 }, "Recipients of one message; further ones get 452."),
  postern_login_recipient_limit: int(
    "$smtpd_recipient_limit",
    { min: 1 },
    "smtpd_recipient_limit for a client that has logged in. Announced as LIMITS RCPTMAX (RFC 9422).",
    { origin: "postern" },
  ),
  postern_session_mail_limit: int(
    "0",
    { min: 0 },
    "MAIL commands of one session, those that were refused too; the next one ends the session with 421. 0: no limit. " +
      "Announced as LIMITS MAILMAX (RFC 9422).",
    { origin: "postern" },
  ),
  postern_session_domain_limit: int(
    "0",
    { min: 0, max: 10_000 },
    "Different domains of the recipients of one session; recipients in a further one get 452. 0: no limit. Announced as " +
      "LIMITS RCPTDOMAINMAX (RFC 9422).",
    { origin: "postern" },
  ),
  smtpd_recipient_overshoot_limit: int(
    "1000",
    { min: 1 },
    "Recipients above smtpd_recipient_limit that do not yet count as errors of the client.",
  ),
  smtpd_soft_error_limit: int(
    "10",
    { min: 1 },
    "After this many errors each reply is delayed by smtpd_error_sleep_time.",
  ),
  smtpd_hard_error_limit: int(
    "${stress?{1}:{20}}",
    { min: 1 },
    "After this many errors the session is ended with 421.",
  ),
  smtpd_error_sleep_time: time(
    "1s",
    "s",
    { min: 0 },
    "Delay of each reply above smtpd_soft_error_limit; 0 turns it off.",
  ),
  smtpd_junk_command_limit: int(
    "${stress?{1}:{100}}",
    { min: 1 },
    "HELO, EHLO, RSET, NOOP and VRFY commands without a message between them, before each counts as an error.",
  ),
  smtpd_noop_commands: list("", "Commands that are answered 250 and otherwise ignored."),
  smtpd_command_filter: text(
    "",
    "A table from a client's command line, as it came, to the line that stands in its place, for clients that cannot be repaired.",
  ),
  smtpd_forbidden_commands: list(
    "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
    "Commands that end the session at once; words, or inline regexp tables of the first word.",
  ),
  smtpd_forbid_unauth_pipelining: bool(
    "yes",
    "End the session of a client that sends before its turn (RFC 2920), with 554.",
  ),
  smtpd_forbid_bare_newline: word(
    "normalize",
    ["no", "yes", "normalize", "note", "reject"] as const,
    "Lines that end in a lone <LF>: normalize (or yes) turns them into <CR><LF>, note also logs notes=bare_lf, reject answers 550. " +
      "Only <CR><LF>.<CR><LF> ends a message, whatever the setting.",
  ),
  smtpd_forbid_bare_newline_exclusions: list(
    "$mynetworks",
    "Clients to which smtpd_forbid_bare_newline = note and reject do not apply; networks, host names, files and local tables.",
  ),
  smtpd_forbid_bare_newline_reject_code: int(
    "550",
    { min: 500, max: 599 },
    "Reply code for a bare newline under `reject`; 521 also ends the session.",
  ),
  smtpd_discard_ehlo_keywords: list(
    "",
    "EHLO keywords, in any case, that are not announced; `silent-discard` keeps this out of the log.",
  ),
  smtpd_discard_ehlo_keyword_address_maps: list(
    "",
    "Tables from a client's address to what stands in place of smtpd_discard_ehlo_keywords for it.",
  ),
  smtpd_reject_footer: text(
    "",
    "Text behind each 4xx and 5xx reply, on lines of its own: `\\n` begins the next line, `\\c` in front continues the " +
      "reply's last line. Expands $client, $client_address, $client_name, $client_port, $helo_name, $localtime, " +
      "$recipient, $reverse_client_name, $sender, $server_name and the _name and _domain of sender and recipient.",
    { raw: true },
  ),
  smtpd_reject_footer_maps: list(
    "",
    "Tables from a whole 4xx or 5xx reply to the footer that it gets instead of smtpd_reject_footer.",
  ),
  smtpd_expansion_filter: text(
    "\\t\\40!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~",
    "Characters that may stand in what is expanded in smtpd_reject_footer and RBL replies; others become `_`.",
    { raw: true },
  ),
  smtpd_delay_open_until_valid_rcpt: bool(
    "yes",
    "Give a message its queue id at the first accepted recipient; with `no` at MAIL FROM, so that refusals name it.",
  ),
  smtpd_authorized_xclient_hosts: list(
    "",
    "Clients that may use XCLIENT: tell who the real client is, for access, logs and headers (XCLIENT_README). " +
      "Networks, host names, files and local tables; who may use it can become any client.",
  ),
  smtpd_authorized_xforward_hosts: list(
    "",
    "Clients that may use XFORWARD: tell where mail came from, for the log only (XFORWARD_README).",
  ),
  smtpd_upstream_proxy_protocol: word(
    "",
    ["", "haproxy"] as const,
    "haproxy: every connection must begin with a PROXY header, version 1 or 2, in front of the greeting and of TLS. " +
      "Whoever reaches the port can then choose his address: let nobody but the balancer reach it.",
  ),
  smtpd_upstream_proxy_timeout: time("5s", "s", { min: 1000 }, "How long the whole PROXY header may take."),
  postscreen_upstream_proxy_protocol: word(
    "",
    ["", "haproxy"] as const,
    "As smtpd_upstream_proxy_protocol, for a postscreen service.",
  ),
  postscreen_upstream_proxy_timeout: time(
    "5s",
    "s",
    { min: 1000 },
    "As smtpd_upstream_proxy_timeout, for a postscreen service.",
  ),
  fast_flush_domains: list(
    "$relay_domains",
    "Destinations whose queued mail ETRN may ask for. Submission services have no ETRN.",
  ),
  strict_rfc821_envelopes: bool("no", "Demand addresses in <> exactly as RFC 5321 spells them."),
  allow_min_user: bool("no", "Take addresses that begin with `-`, which a program could read as an option."),
  strict_smtputf8: bool("no", "Refuse UTF-8 addresses from clients that did not declare SMTPUTF8."),
  line_length_limit: int("2048", { min: 512 }, "Bytes of a command line; longer lines are cut and logged."),
} satisfies Record<string, Declaration<unknown>>;
