/** config/params/local.ts: the parameters of local, each declared once. */
import { bool, type Declaration, int, list, text, words } from "../declare.ts";

const SAFE_CHARACTERS = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

export const LOCAL_PARAMETERS = {
  home_mailbox: text(
    "Maildir/",
    "Where local mail goes, relative to the user's home directory; the name ends in / because only the maildir format is " +
      "written (Postfix's default is empty). The server's user must be able to write there.",
    { raw: true },
  ),
  mail_spool_directory: text(
    "/var/mail",
    "Used when $home_mailbox is empty and this ends in /: mail goes to the maildir $mail_spool_directory$user/.",
    { raw: true },
  ),
  postern_local_maildir: text(
    "",
    "Maildir of a local user, e.g. /var/mail/$user/; $user is the name without extension, in lower case, $domain the " +
      "recipient's domain. If set, it comes before $home_mailbox, and /etc/passwd is not asked who is a user; no .forward file is read.",
    { origin: "postern", raw: true },
  ),
  mailbox_size_limit: int(
    "51200000",
    { min: 0 },
    "The most bytes of a message that local writes into a maildir; larger ones are returned. 0: no limit.",
  ),
  expand_owner_alias: bool(
    "no",
    "The envelope sender that an alias NAME with a companion owner-NAME gives to what it forwards is the first address of that " +
      "companion, instead of the address owner-NAME.",
  ),
  owner_request_special: bool("yes", "owner-NAME beside an alias NAME gets the failures of what the alias forwards."),
  reset_owner_alias: bool(
    "no",
    "An alias without an owner- companion that stands in one that has it does not keep that owner.",
  ),
  forward_path: text(
    "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
    "Files in which a user says where his mail goes; the first that exists counts. $home, $user, $shell, $local, $domain, " +
      "$recipient, $extension and $recipient_delimiter are his. They are read as the server's user. Empty: none.",
    { raw: true },
  ),
  forward_expansion_filter: text(
    SAFE_CHARACTERS,
    "Characters that names may bring into $forward_path; each other one becomes _.",
  ),
  prepend_delivered_header: words(
    "command, file, forward",
    ["command", "file", "forward"],
    "Where a Delivered-To header goes on top: forwarded mail (forward), mailboxes (file), commands (command). It stops loops.",
  ),
  local_delivery_status_filter: list(
    "$default_delivery_status_filter",
    "Tables asked with `status text` of each outcome of local; what they find replaces both, success stays success.",
  ),
  pipe_delivery_status_filter: list("$default_delivery_status_filter", "As local_delivery_status_filter, for pipe."),
  virtual_delivery_status_filter: list(
    "$default_delivery_status_filter",
    "As local_delivery_status_filter, for virtual.",
  ),
  allow_mail_to_commands: words(
    "alias, forward",
    ["alias", "forward", "include"],
    "Set it, with alias in it, to let an alias run the one |command that it leads to, as $default_privs and without a shell. Not " +
      "set: such mail is returned. forward and include never run anything here.",
  ),
  default_privs: text("nobody", "The account that runs commands of aliases; not root, not $mail_owner."),
  command_expansion_filter: text(
    SAFE_CHARACTERS,
    "Characters that a message may bring into the environment of such commands; each other one becomes _.",
  ),
  mailbox_transport: text(
    "",
    "transport:nexthop that delivers the mail of all local users, known or not, e.g. lmtp:unix:private/dovecot-lmtp. Aliases and " +
      ".forward files come before it.",
  ),
  mailbox_transport_maps: list("", "Tables user name → transport:nexthop, asked before $mailbox_transport."),
  mailbox_command: text("", "Commands for mailboxes are not run here: while this is set, mail to local users waits.", {
    raw: true,
  }),
  mailbox_command_maps: text("", "As mailbox_command.", { raw: true }),
  fallback_transport: text(
    "",
    "transport:nexthop for local names that are neither aliases nor users. RCPT must take them: see local_recipient_maps.",
  ),
  fallback_transport_maps: list("", "Tables user name → transport:nexthop, asked before $fallback_transport."),
  luser_relay: text(
    "",
    "Address that gets the mail of local names that are neither aliases nor users, e.g. $user@other.example.org; $user, $local, " +
      "$domain, $extension, $recipient and $recipient_delimiter are the unknown recipient's. RCPT must take them: see " +
      "local_recipient_maps.",
    { raw: true },
  ),
} satisfies Record<string, Declaration<unknown>>;
