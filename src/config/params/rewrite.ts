/** config/params/rewrite.ts: the parameters of rewrite, each declared once. What other rooms share with it (mydestination,
 *  relay_domains, myorigin, recipient_delimiter …) stands in general.ts. */
import { bool, type Declaration, list, text } from "../declare.ts";

export const REWRITE_PARAMETERS = {
  append_at_myorigin: bool(
    "yes",
    "Append @$myorigin to addresses without domain. Postfix advises never to turn it off.",
  ),
  append_dot_mydomain: bool(
    "${{$compatibility_level} <level {1} ? {yes} : {no}}",
    "Append .$mydomain to a domain without dot.",
  ),
  swap_bangpath: bool("yes", "Rewrite `site!user` to `user@site` where the address has no @."),
  allow_percent_hack: bool("yes", "Rewrite `user%domain` to `user@domain` where the address has no @."),
  resolve_numeric_domain: bool(
    "no",
    "Take `user@1.2.3.4`, without brackets, for an address literal; otherwise such mail is refused as bad syntax.",
  ),
  empty_address_recipient: text("MAILER-DAEMON", "Recipient of mail to the null address."),
  local_transport: text(
    "local:$myhostname",
    "Delivery agent for $mydestination and our own address literals, as transport:nexthop.",
  ),
  virtual_transport: text("virtual", "Delivery agent for $virtual_mailbox_domains, as transport:nexthop."),
  relay_transport: text("relay", "Delivery agent for $relay_domains, as transport:nexthop."),
  default_transport: text("smtp", "Delivery agent for all other domains, as transport:nexthop."),
  relayhost: text(
    "",
    "Next hop of all mail that is not for local or virtual domains: `domain` (by MX), `[host]`, either with `:port`. " +
      "Empty: the recipient's domain.",
  ),
  transport_maps: list("", "Tables recipient or domain → transport:nexthop; they come before everything else."),
  sender_dependent_relayhost_maps: list("", "Tables sender → relayhost; DUNNO stops the search."),
  sender_dependent_default_transport_maps: list("", "Tables sender → default_transport; DUNNO stops the search."),
  empty_address_relayhost_maps_lookup_key: text("<>", "Key of the null sender in $sender_dependent_relayhost_maps."),
  empty_address_default_transport_maps_lookup_key: text(
    "<>",
    "Key of the null sender in $sender_dependent_default_transport_maps.",
  ),
  alias_maps: list(
    "hash:/etc/aliases, nis:mail.aliases",
    "Tables of local aliases. Their names count as local recipients. A table of the default that is not there is skipped.",
  ),
  alias_database: list(
    "hash:/etc/aliases",
    "Tables that `newaliases` builds. Nobody is looked up there: see alias_maps.",
  ),
  default_database_type: text("hash", "Type of a table that `postmap` is given without one."),
  local_recipient_maps: list(
    "proxy:unix:passwd.byname $alias_maps",
    "Tables of all local recipients; others are refused. Empty: every local address is taken.",
  ),
  relay_recipient_maps: list("", "Tables of all recipients in $relay_domains; others are refused. Empty: no check."),
  relocated_maps: list(
    "",
    "Tables from old to new address. Mail to an old one is refused with 5.1.6 and `User has moved to` the new one.",
  ),
  canonical_maps: list("", "Tables address → address. What stands in them counts as an existing address."),
  recipient_canonical_maps: list("", "As canonical_maps, for recipients; what stands in them exists."),
  sender_canonical_maps: list("", "As canonical_maps, for senders; reject_unlisted_sender takes them as existing."),
  virtual_alias_domains: list("$virtual_alias_maps", "Domains whose addresses are all aliases in $virtual_alias_maps."),
  virtual_alias_maps: list("$virtual_maps", "Tables address → other addresses, for any domain."),
  virtual_mailbox_domains: list("$virtual_mailbox_maps", "Domains delivered by $virtual_transport."),
  virtual_mailbox_maps: list("", "Tables of all addresses in $virtual_mailbox_domains. Empty: no check."),
} satisfies Record<string, Declaration<unknown>>;
