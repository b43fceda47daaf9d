/** config/params/cleanup.ts: the parameters of cleanup, each declared once. */
import { bool, type Declaration, int, list, text, words } from "../declare.ts";

export const CLEANUP_PARAMETERS = {
  hopcount_limit: int(
    "50",
    { min: 1 },
    "The most Received header fields a message may have before it is a mail loop (RFC 5321 §6.3).",
  ),
  header_size_limit: int(
    "102400",
    { min: 1 },
    "The most bytes of one header field; what lies above is dropped, as in Postfix.",
  ),
  postern_header_block_limit: int(
    "1048576",
    { min: 65536 },
    "The most bytes of all header fields of one message together; a larger header is refused with 552 5.3.4.",
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
  duplicate_filter_limit: int(
    "1000",
    { min: 0 },
    "How many recipients of a message are remembered to leave out duplicates; 0 means all.",
  ),
  enable_original_recipient: bool(
    "yes",
    "Keep recipients apart that were written to different addresses and rewritten to one; with no, that one gets one copy.",
  ),
  receive_override_options: words(
    "",
    ["no_address_mappings", "no_unknown_recipient_checks", "no_header_body_checks", "no_milters"],
    "What a service leaves out: no_address_mappings (canonical maps, masquerading, aliases, copies), " +
      "no_unknown_recipient_checks (reject_unlisted_recipient), no_header_body_checks, no_milters. For -o of the service where a content filter hands mail back.",
  ),
} satisfies Record<string, Declaration<unknown>>;
