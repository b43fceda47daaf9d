/** config/params/access.ts: the parameters of the restriction language (SMTPD_ACCESS_README), each declared once. Reply
 *  codes are limited to 4xx and 5xx: a refusal that answers 2xx would be a hole. */
import { bool, type Declaration, int, list, text } from "../declare.ts";

function code(defaultText: string, doc: string): Declaration<number> {
  return int(defaultText, { min: 400, max: 599 }, doc);
}

function restrictions(when: string, defaultText = ""): Declaration<readonly string[]> {
  return list(
    defaultText,
    `Access restrictions ${when}. Restriction words, classes and type:table, evaluated in order.`,
  );
}

export const ACCESS_PARAMETERS = {
  smtpd_client_restrictions: restrictions("at the connection of a client"),
  smtpd_helo_restrictions: restrictions("at HELO and EHLO"),
  smtpd_sender_restrictions: restrictions("at MAIL FROM"),
  smtpd_relay_restrictions: restrictions(
    "at RCPT TO that keep strangers from relaying",
    "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}",
  ),
  smtpd_recipient_restrictions: restrictions("at RCPT TO, in addition to smtpd_relay_restrictions"),
  smtpd_data_restrictions: restrictions("at DATA; with several recipients none of them is known here"),
  smtpd_end_of_data_restrictions: restrictions("when a message is complete, before it is accepted"),
  smtpd_etrn_restrictions: restrictions("at ETRN"),
  smtpd_restriction_classes: list(
    "",
    "Names of restriction classes; each is a parameter that holds a restriction list.",
  ),
  smtpd_relay_before_recipient_restrictions: bool(
    "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
    "Evaluate smtpd_relay_restrictions before smtpd_recipient_restrictions. Both are always evaluated.",
  ),
  smtpd_delay_reject: bool(
    "yes",
    "Evaluate the client, HELO and sender restrictions at RCPT TO, so that a refusal names its recipient.",
  ),
  smtpd_reject_unlisted_recipient: bool(
    "yes",
    "Refuse recipients in our own domains that no recipient table lists, also without reject_unlisted_recipient.",
  ),
  smtpd_reject_unlisted_sender: bool(
    "no",
    "Refuse senders in our own domains that no recipient table lists, also without reject_unlisted_sender.",
  ),
  smtpd_sender_login_maps: list(
    "",
    "Tables from sender address to the logins that own it, for reject_sender_login_mismatch and its kin.",
  ),
  smtpd_null_access_lookup_key: text("<>", "The key under which check_sender_access looks up the null sender."),
  smtpd_log_access_permit_actions: list(
    "",
    "Permit actions that are logged, as words (`permit_mynetworks`, `OK`) and type:table; static:all logs each.",
  ),
  show_user_unknown_table_name: bool("yes", 'Name the recipient table in "User unknown" replies.'),
  allow_untrusted_routing: bool(
    "no",
    "Let strangers use sender-specified routing (user%elsewhere@domain) to authorised destinations. Opens the relay.",
  ),

  postern_allow_open_relay: bool(
    "no",
    "Start although strangers can relay, or submit mail, through a service. What `postern verify` finds is only a warning then.",
    { origin: "postern" },
  ),
  postern_trusted_relay_tables: list(
    "",
    "Tables that the proof cannot look into (mysql:/file, ldap:/file …) and that are known to let no stranger relay.",
    { origin: "postern" },
  ),

  access_map_reject_code: code("554", "Reply code of the access(5) action REJECT."),
  access_map_defer_code: code("450", "Reply code of the access(5) action DEFER."),
  reject_code: code("554", "Reply code of the restriction reject."),
  defer_code: code("450", "Reply code of the restriction defer."),
  relay_domains_reject_code: code(
    "554",
    "Reply code of reject_unauth_destination; defer_unauth_destination answers 100 less.",
  ),
  plaintext_reject_code: code("450", "Reply code of reject_plaintext_session."),
  invalid_hostname_reject_code: code("501", "Reply code of reject_invalid_helo_hostname."),
  non_fqdn_reject_code: code(
    "504",
    "Reply code of reject_non_fqdn_helo_hostname, reject_non_fqdn_sender and reject_non_fqdn_recipient.",
  ),
  unknown_local_recipient_reject_code: code(
    "550",
    "Reply code for an address that $local_recipient_maps does not list.",
  ),
  unknown_relay_recipient_reject_code: code(
    "550",
    "Reply code for an address that $relay_recipient_maps does not list.",
  ),
  unknown_virtual_alias_reject_code: code("550", "Reply code for an address that $virtual_alias_maps does not list."),
  unknown_virtual_mailbox_reject_code: code(
    "550",
    "Reply code for an address that $virtual_mailbox_maps does not list.",
  ),
} satisfies Record<string, Declaration<unknown>>;
