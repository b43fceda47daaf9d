/** config/params/cleanup.ts: the parameters of cleanup, each declared once. */
import { bool, type Declaration, int, list, text, word, words } from "../declare.ts";
import { submissionChecks } from "./submission-checks.ts";

export const CLEANUP_PARAMETERS = {
  hopcount_limit: int(
    "50",
    { min: 1 },
    "The most Received header fields a message may have before it is a mail loop (RFC 5321 §6.3).",
  ),
  smtpd_hide_client_session: bool(
    "no",
    "Leave the client's name and address, its TLS session and its login out of the Received field. Postfix's own master.cf " +
      "sets it for submission with -o.",
  ),
  cleanup_service_name: text(
    "cleanup",
    "The cleanup service of master.cf whose -o options count for mail of this service: header_checks and its like, body_checks, " +
      "always_bcc, sender_bcc_maps, recipient_bcc_maps.",
  ),
  header_checks: list(
    "",
    "Tables of rules for the fields of a message's own header but those of MIME: REJECT, WARN, REPLACE, HOLD and so on, see " +
      "docs/header-checks.md.",
  ),
  mime_header_checks: list(
    "$header_checks",
    "The same for MIME-Version, Content-Type, -Transfer-Encoding, -Disposition, -Description and -ID anywhere in a message, " +
      "and for all fields of a part of multipart.",
  ),
  nested_header_checks: list(
    "$header_checks",
    "The same for the header of an enclosed message (message/rfc822), but for its MIME fields.",
  ),
  body_checks: list("", "The same for each line that is in no header; boundaries of parts are such lines."),
  body_checks_size_limit: int(
    "51200",
    { min: 0 },
    "Bytes at the start of each part, or of a message without parts, that body_checks looks at; 0: all.",
  ),
  disable_mime_input_processing: bool(
    "no",
    "Take all that follows a message's own header as its body: no parts are found, and the strict_ parameters have no effect.",
  ),
  mime_nesting_limit: int(
    "100",
    { min: 1 },
    "How deep parts may lie in parts where content is checked; deeper ones are refused with 550 5.6.0.",
  ),
  mime_boundary_length_limit: int(
    "2048",
    { min: 1 },
    "Bytes of a MIME boundary that are compared; what begins like it is taken for it.",
  ),
  detect_8bit_encoding_header: bool(
    "yes",
    "Relay a message as 8BITMIME if its Content-Transfer-Encoding says 8bit or binary, whatever the client declared. Unlike " +
      "in Postfix, 8-bit octets in its body have the same effect, with this parameter or without.",
  ),
  postern_undeclared_binary: word(
    "pass",
    ["pass", "convert", "return"],
    "A message whose Content-Transfer-Encoding says binary though the client did not declare it (BODY=BINARYMIME). pass: as 8-bit " +
      "text, as Postfix does. convert: as BINARYMIME; a next hop without that gets base64. return: it is accepted, and returned to its sender with 5.6.3, as " +
      "RFC 3030 section 3 recommends.",
    { origin: "postern" },
  ),
  tls_required_enable: bool(
    "yes",
    "Heed the header field `TLS-Required: No` (RFC 8689): such a message goes with TLS that is not verified, or in clear, where " +
      "smtp_tls_security_level, policies, DANE or MTA-STS would hold it back. As in Postfix 3.10.",
  ),
  strict_7bit_headers: bool("no", "Refuse 8-bit text in header fields, those of parts too, with 550 5.6.0."),
  strict_8bitmime_body: bool(
    "no",
    "Refuse 8-bit text in a part that does not say it has some (Content-Transfer-Encoding: 8bit), with 550 5.6.0.",
  ),
  strict_8bitmime: bool("no", "strict_7bit_headers and strict_8bitmime_body."),
  strict_mime_encoding_domain: bool(
    "no",
    "Refuse message/rfc822 and multipart/* that say they are base64 or quoted-printable, and message/partial and message/external-body " +
      "that are not 7bit, with 550 5.6.0.",
  ),
  header_size_limit: int(
    "102400",
    { min: 1 },
    "The most bytes of one header field; what lies above is dropped, as in Postfix.",
  ),
  header_address_token_limit: int(
    "10240",
    { min: 1 },
    "How many words and marks of an address field are read; addresses behind them stay as they are. Postfix drops them.",
  ),
  postern_header_block_limit: int(
    "1048576",
    { min: 65536 },
    "The most bytes of all header fields of one message together; a larger header is refused with 552 5.3.4.",
    { origin: "postern" },
  ),
  postern_submission_checks: submissionChecks(
    "What is done about faults of submitted messages: `check:grade` words, where a grade is off, warn, fix or reject, and `all` " +
      "is every check. Those that are not named keep their default; see docs/message-repair.md. Never for a role of mx.",
  ),
  postern_repair_signed: bool(
    "no",
    "Repair also what a DKIM, S/MIME or OpenPGP signature of the sender covers, and so break it; with no, such faults are logged.",
    { origin: "postern" },
  ),
  postern_log_changes: bool(
    "yes",
    "One log line, `changes:`, for each message that was changed: what, why, by which rule.",
    { origin: "postern" },
  ),
  postern_modification_header: bool(
    "no",
    "Add a field X-Postern-Changes to submitted messages that says what was changed, or that nothing was.",
    { origin: "postern" },
  ),
  content_filter: text(
    "",
    "transport:nexthop that gets every message first. The FILTER action overrides it for a message. Set it empty with -o " +
      "for the service where the filter hands mail back.",
  ),
  always_add_missing_headers: bool(
    "no",
    "Add Date, From and Message-ID where they are missing also on services whose role is mx. Submission services always do.",
  ),
  message_drop_headers: list(
    "bcc, content-length, resent-bcc, return-path",
    "Names of header fields that are removed from every message.",
  ),
  undisclosed_recipients_header: text(
    "",
    "A header field for submitted messages that have neither To nor Cc, such as `To: undisclosed-recipients:;`. Empty: none.",
  ),
  header_from_format: word(
    "standard",
    ["standard", "obsolete"],
    "The form of a From field that is added: `Name <address>` (standard), or `address (Name)` (obsolete).",
  ),
  full_name_encoding_charset: text(
    "utf-8",
    "The character set that names the encoding of a sender's full name beyond ASCII in an added From field. Empty: not encoded.",
  ),
  duplicate_filter_limit: int(
    "1000",
    { min: 0 },
    "How many recipients of a message, and addresses of one expansion of aliases, are remembered to leave out duplicates; 0: all.",
  ),
  force_mime_input_conversion: bool(
    "no",
    "Make quoted-printable of what is called 8bit or binary before anything looks at the message: header_checks, body_checks, " +
      "Milters, signatures. A DKIM signature then holds also where a next hop has no 8BITMIME.",
  ),
  enable_original_recipient: bool(
    "yes",
    "Keep recipients apart that were written to different addresses and rewritten to one; with no, that one gets one copy.",
  ),
  receive_override_options: words(
    "",
    ["no_address_mappings", "no_unknown_recipient_checks", "no_header_body_checks", "no_milters"],
    "What a service leaves out: no_address_mappings (canonical maps, masquerading, aliases, copies), " +
      "no_unknown_recipient_checks (reject_unlisted_recipient), no_header_body_checks (header_checks to body_checks, the strict_ MIME limits), no_milters. For -o of the service where a content filter hands mail back.",
  ),
} satisfies Record<string, Declaration<unknown>>;
