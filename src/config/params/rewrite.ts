/** config/params/rewrite.ts: the parameters of rewrite, each declared once. What other rooms share with it (mydestination,
 *  relay_domains, myorigin, recipient_delimiter …) stands in general.ts. */
import { bool, type Declaration, int, list, ParameterError, text, words } from "../declare.ts";

const PLACES = ["envelope_sender", "envelope_recipient", "header_sender", "header_recipient"] as const;

const HEADER_CLIENTS: ReadonlySet<string> = new Set([
  "check_address_map",
  "permit_inet_interfaces",
  "permit_mynetworks",
  "permit_sasl_authenticated",
  "permit_tls_clientcerts",
  "permit_tls_all_clientcerts",
]);

/** Words that are known, and tables. Postfix warns of others at each message and goes on. */
function headerClients(defaultText: string, doc: string): Declaration<readonly string[]> {
  const plain = list(defaultText, doc);
  return {
    ...plain,
    parse(text, name) {
      const items = plain.parse(text, name);
      const unknown = items.find((item) => !item.includes(":") && !HEADER_CLIENTS.has(item.toLowerCase()));
      if (unknown !== undefined) throw new ParameterError(`parameter ${name}: invalid request: ${unknown}`);
      return items;
    },
  };
}

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
  canonical_maps: list(
    "",
    "Tables address → address, for all places in $canonical_classes. What stands in them counts as an existing address.",
  ),
  recipient_canonical_maps: list("", "As canonical_maps, for recipients and before it; what stands in them exists."),
  sender_canonical_maps: list(
    "",
    "As canonical_maps, for senders and before it; reject_unlisted_sender takes them as existing.",
  ),
  canonical_classes: words(
    "envelope_sender, envelope_recipient, header_sender, header_recipient",
    PLACES,
    "Where $canonical_maps is asked.",
  ),
  sender_canonical_classes: words("envelope_sender, header_sender", PLACES, "Where $sender_canonical_maps is asked."),
  recipient_canonical_classes: words(
    "envelope_recipient, header_recipient",
    PLACES,
    "Where $recipient_canonical_maps is asked.",
  ),
  propagate_unmatched_extensions: words(
    "canonical, virtual",
    ["canonical", "virtual", "alias", "forward", "include", "generic"],
    "Which maps (canonical, virtual, generic) hand an address extension that no key matched on to their result.",
  ),
  masquerade_domains: list(
    "",
    "Domains that replace their subdomains in addresses; the first that matches counts. `!name` spares a subdomain.",
  ),
  masquerade_classes: words(
    "envelope_sender, header_sender, header_recipient",
    PLACES,
    "Where $masquerade_domains works.",
  ),
  masquerade_exceptions: list("", "User names that $masquerade_domains leaves alone."),
  virtual_alias_expansion_limit: int(
    "1000",
    { min: 1 },
    "The most addresses that one recipient may expand to; above it the message is refused for now with 451 4.6.0.",
  ),
  virtual_alias_recursion_limit: int(
    "1000",
    { min: 1 },
    "The most steps from alias to alias; above it the message is refused for now with 451 4.6.0.",
  ),
  virtual_alias_address_length_limit: int(
    "1000",
    { min: 1 },
    "The most bytes of an address that an alias leads to; above it the message is refused for now with 451 4.6.0.",
  ),
  local_header_rewrite_clients: headerClients(
    "permit_inet_interfaces",
    "Whose headers are completed with $myorigin and get missing fields: permit_inet_interfaces, permit_mynetworks, " +
      "permit_sasl_authenticated, permit_tls_clientcerts, permit_tls_all_clientcerts, or type:table of addresses. Not set: all " +
      "clients of a service whose role is submission, and no others.",
  ),
  remote_header_rewrite_domain: text(
    "",
    "The domain that completes header addresses of mail that is not from our own clients. Empty: such headers stay as they are.",
  ),
  always_bcc: text("", "An address that gets a copy of every message."),
  sender_bcc_maps: list("", "Tables sender → address that gets a copy."),
  recipient_bcc_maps: list("", "Tables recipient → address that gets a copy; asked before aliases are expanded."),
  virtual_alias_domains: list("$virtual_alias_maps", "Domains whose addresses are all aliases in $virtual_alias_maps."),
  virtual_alias_maps: list("$virtual_maps", "Tables address → other addresses, for any domain."),
  virtual_mailbox_domains: list("$virtual_mailbox_maps", "Domains delivered by $virtual_transport."),
  virtual_mailbox_maps: list("", "Tables of all addresses in $virtual_mailbox_domains. Empty: no check."),
} satisfies Record<string, Declaration<unknown>>;
