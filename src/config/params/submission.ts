/** config/params/submission.ts: the parameters of what only submission services offer, and only to clients they know:
 *  FUTURERELEASE (RFC 4865), DELIVERBY (RFC 2852), MT-PRIORITY (RFC 6710), each declared once. */
import { bool, type Declaration, int, list, text, time, word } from "../declare.ts";

const OWN = { origin: "postern" } as const;
/** Nine digits of seconds. */
const MOST_MS = 999_999_999_000;

export const SUBMISSION_PARAMETERS = {
  postern_submission_extension_clients: list(
    "",
    "Clients of a submission service that may use FUTURERELEASE, DELIVERBY and MT-PRIORITY without a login, such as " +
      "$mynetworks; networks, host names, files and tables. Without a login a client's address stands in for its name: `[192.0.2.1]`.",
    OWN,
  ),
  postern_future_release_max: time(
    "90d",
    "s",
    { min: 0, max: MOST_MS },
    "How long a client may ask that a message be held before it is sent (FUTURERELEASE, RFC 4865). 0: not at all.",
    OWN,
  ),
  postern_future_release_quota: int(
    "100",
    { min: 0 },
    "How many messages one login may have held at a time; one more is refused with 552. 0: no limit.",
    OWN,
  ),
  postern_requiretls_enable: word(
    "submission",
    ["submission", "yes", "no"],
    "Which services take REQUIRETLS (RFC 8689) from clients that use TLS: submission services, unless content_filter is set; all; " +
      "none. Such mail goes only to servers that prove who they are and promise the same, else it is returned.",
    OWN,
  ),
  postern_deliver_by_enable: bool(
    "yes",
    "Let clients say by when a message must be delivered (DELIVERBY, RFC 2852). Not offered where content_filter is set: " +
      "the time would be lost behind it.",
    OWN,
  ),
  postern_deliver_by_min: time(
    "0s",
    "s",
    { min: 0, max: MOST_MS },
    "The shortest time that a client may give with BY=…;R. 0: any.",
    OWN,
  ),
  postern_lenient_envid: bool(
    "no",
    "Take an ENVID of MAIL that is not xtext (RFC 3461 §4.4) for the text that it is, instead of refusing it: some clients send their Message-ID as it stands, and it may hold + or =.",
    OWN,
  ),
  postern_priority_enable: bool("yes", "Let clients give their messages a priority (MT-PRIORITY, RFC 6710).", OWN),
  postern_priority_profile: text("", "The profile that is announced with MT-PRIORITY: MIXER, STANAG4406, NSEP …", OWN),
  postern_priority_login_maps: list(
    "",
    "Tables from a login to the highest priority that it may use, 1 to 9. Without an entry it is 0: anybody may only say " +
      "that a message is less urgent than others.",
    OWN,
  ),
  postern_priority_excess: word(
    "lower",
    ["lower", "reject"] as const,
    "A priority that the login may not use is lowered to the highest that it may, or the message is rejected with 550 5.7.15.",
    OWN,
  ),
  postern_priority_tunnel: bool(
    "no",
    "Carry a priority in a header field MT-Priority through servers without MT-PRIORITY, and take the word of such a field in " +
      "mail of clients that may use MT-PRIORITY (RFC 6758, experimental).",
    OWN,
  ),
  postern_priority_size_limit: int(
    "0",
    { min: 0 },
    "Bytes of a message with a priority above 0; a larger one is rejected with 552 5.7.16. 0: only message_size_limit counts.",
    OWN,
  ),
} satisfies Record<string, Declaration<unknown>>;
