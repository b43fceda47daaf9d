/** config/params/access-dns.ts: the parameters of restrictions that ask DNS or look at client certificates, each declared
 *  once. Those of the other restrictions are in access.ts. */
import { type Declaration, int, list, text, word } from "../declare.ts";

const TEMPFAIL_ACTIONS = ["defer_if_permit", "defer"] as const;

function code(defaultText: string, doc: string): Declaration<number> {
  return int(defaultText, { min: 400, max: 599 }, doc);
}

export const ACCESS_DNS_PARAMETERS = {
  unknown_client_reject_code: code(
    "450",
    "Reply code of reject_unknown_client_hostname and reject_unknown_reverse_client_hostname. 450 after a temporary DNS error.",
  ),
  unknown_hostname_reject_code: code(
    "450",
    "Reply code of reject_unknown_helo_hostname for a name without A, AAAA and MX record.",
  ),
  unknown_address_reject_code: code(
    "450",
    "Reply code of reject_unknown_sender_domain and reject_unknown_recipient_domain for a domain without MX, A and AAAA record.",
  ),
  reject_tempfail_action: word(
    "defer_if_permit",
    TEMPFAIL_ACTIONS,
    "What a reject_* restriction does when DNS cannot answer now. defer_if_permit: 4xx if nothing else refuses; defer: 4xx at once.",
  ),
  unknown_address_tempfail_action: word(
    "$reject_tempfail_action",
    TEMPFAIL_ACTIONS,
    "reject_tempfail_action for reject_unknown_sender_domain and reject_unknown_recipient_domain.",
  ),
  unknown_helo_hostname_tempfail_action: word(
    "$reject_tempfail_action",
    TEMPFAIL_ACTIONS,
    "reject_tempfail_action for reject_unknown_helo_hostname.",
  ),
  multi_recipient_bounce_reject_code: code("550", "Reply code of reject_multi_recipient_bounce."),
  maps_rbl_reject_code: code("554", "Value of $rbl_code in replies of reject_rbl_client and reject_rhsbl_*."),
  default_rbl_reply: text(
    "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}",
    "Reply of reject_rbl_client and reject_rhsbl_*. Macros: rbl_code, rbl_class, rbl_what, rbl_domain, rbl_reason, rbl_txt, " +
      "client, client_address, client_name, client_port, reverse_client_name, helo_name, sender, recipient (each also with " +
      "_name and _domain), server_name, localtime.",
    { raw: true },
  ),
  rbl_reply_maps: list(
    "",
    "Tables from a DNS list, written as in the restriction (domain or domain=filter), to its own reply, as default_rbl_reply.",
  ),
  permit_mx_backup_networks: list(
    "",
    "Networks in which all addresses of a domain's best mail exchangers must lie for permit_mx_backup. Empty: any.",
  ),
  relay_clientcerts: list(
    "",
    "Tables of the certificate and public key fingerprints of clients that permit_tls_clientcerts lets relay.",
  ),
} satisfies Record<string, Declaration<unknown>>;
