/** config/params/identity.ts: the parameters of who may send as whom, each declared once. Postfix looks at the envelope only
 *  (reject_sender_login_mismatch and its kin). */
import { bool, type Declaration, word } from "../declare.ts";

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
} satisfies Record<string, Declaration<unknown>>;
