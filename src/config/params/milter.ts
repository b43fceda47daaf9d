/** config/params/milter.ts: the parameters of Milters, each declared once. */
import { type Declaration, list, text, time, word, words } from "../declare.ts";

const macros = (defaultText: string, stage: string): Declaration<readonly string[]> =>
  list(defaultText, `The macros that Milters get ${stage}, unless they ask for others.`);

export const MILTER_PARAMETERS = {
  smtpd_milters: list(
    "",
    "Milters for mail that comes by SMTP, in the order in which they are asked: inet:host:port, unix:path, or " +
      "{ endpoint, default_action=accept, connect_timeout=10s, … }.",
  ),
  smtpd_milter_maps: list(
    "",
    "Tables with the Milters for a client, by its address, in the place of smtpd_milters; DISABLE: none. Who cannot be looked " +
      "up is refused for now.",
  ),
  non_smtpd_milters: list(
    "",
    "Milters for mail that does not come by SMTP: from sendmail(1), and reports that internal_mail_filter_classes names. They " +
      "see it as if it came by ESMTP from localhost.",
  ),
  internal_mail_filter_classes: words(
    "",
    ["bounce", "notify"],
    "Mail of Postern's own that header_checks, body_checks and $non_smtpd_milters see: bounce, delivery reports. What refuses a " +
      "report makes the mail that it is about wait. notify has no effect: notices to the postmaster go the way of mail from sendmail(1), and always pass them.",
  ),
  milter_header_checks: list(
    "",
    "Tables with actions (header_checks) for header fields that Milters add, insert or change: REJECT, DISCARD, HOLD, FILTER, " +
      "REDIRECT, REPLACE, IGNORE, STRIP, INFO, WARN.",
  ),
  milter_default_action: word(
    "tempfail",
    ["accept", "reject", "tempfail", "quarantine", "shutdown"],
    "What becomes of mail when a Milter cannot be asked or does not follow the protocol.",
  ),
  milter_protocol: text(
    "6",
    "The version of the protocol that is offered: 2, 3, 4 or 6. no_header_reply behind it: the Milter does not answer header fields.",
  ),
  milter_connect_timeout: time("30s", "s", { min: 1 }, "How long connecting to a Milter may take."),
  milter_command_timeout: time(
    "30s",
    "s",
    { min: 1 },
    "How long a Milter may take to answer a command, a header or a part of the body.",
  ),
  milter_content_timeout: time(
    "300s",
    "s",
    { min: 1 },
    "How long a Milter may take to answer the end of a message; a report of progress begins the time anew.",
  ),
  milter_macro_daemon_name: text("$myhostname", "The macro {daemon_name}. Filters sign what comes from ORIGINATING."),
  milter_macro_v: text("$mail_name $mail_version", "The macro v."),
  milter_macro_defaults: text("", "Values of macros that have none: name=value, or { name = value with blanks }."),
  milter_connect_macros: macros("j {daemon_name} {daemon_addr} v _", "at the connection"),
  milter_helo_macros: macros("{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}", "at HELO or EHLO"),
  milter_mail_macros: macros(
    "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
    "at MAIL",
  ),
  milter_rcpt_macros: macros("i {rcpt_addr} {rcpt_host} {rcpt_mailer}", "at RCPT"),
  milter_data_macros: macros("i", "at DATA"),
  milter_end_of_header_macros: macros("i", "at the end of the header"),
  milter_end_of_data_macros: macros("i", "at the end of the message"),
  milter_unknown_command_macros: macros("", "at a command that is not known"),
} satisfies Record<string, Declaration<unknown>>;
