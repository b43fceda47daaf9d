/** config/params/identity.ts: the parameters of who may send as whom, each declared once. Postfix looks at the envelope only
 *  (reject_sender_login_mismatch and its kin). */
import { bool, type Declaration, list, time, word } from "../declare.ts";

export const IDENTITY_PARAMETERS = {
  postern_header_from_login_mismatch: word(
    "ignore",
    ["ignore", "warn", "rewrite", "reject"],
    "What becomes of mail whose From or Resent-From names an address that smtpd_sender_login_maps does not give to the login of " +
      "the client: `ignore` looks at nothing, as Postfix; `warn` logs; `rewrite` puts the login's own address there and keeps what " +
      "it was as Reply-To or X-Original-From; `reject` answers 550 5.7.1.",
    { origin: "postern" },
  ),
  postern_authenticated_null_sender: bool(
    "yes",
    "Let clients that have logged in send with the null sender, as read receipts are (RFC 6409 §3.2).",
    { origin: "postern" },
  ),
  postern_reply_codes: word(
    "postfix",
    ["postfix", "rfc6409"],
    "Whose reply codes count where Postfix and RFC 6409 differ: for addresses that are not fully qualified (504, 554), senders whose " +
      "domain does not exist (450, 550) or that are not the login's (553, 550), illegal addresses (accepted, 501), and " +
      "clients that have to log in (554, 530). A reply code that is set in main.cf stays.",
    { origin: "postern" },
  ),
  postern_postmaster_names: list(
    "postmaster",
    "Local parts that permit_postmaster lets through in all domains of ours.",
    { origin: "postern" },
  ),
  postern_duplicate_guard: word(
    "off",
    ["off", "mark", "suppress"],
    "What becomes of a message that the same login sends again because it never read the reply to the first one: `mark` queues it with " +
      "X-Postern-Duplicate-Of and a warning in the log; `suppress` answers with the first one's queue id and delivers once.",
    { origin: "postern" },
  ),
  postern_duplicate_window: time(
    "10m",
    "s",
    { min: 1000, max: 604_800_000 },
    "How long after it was queued a message counts for postern_duplicate_guard.",
    { origin: "postern" },
  ),
} satisfies Record<string, Declaration<unknown>>;
