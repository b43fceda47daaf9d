/** config/params/dkim.ts: the parameters of DKIM signing, each declared once. Postfix has none: it leaves signing to a milter. */
import { bool, type Declaration, file, text, time, word } from "../declare.ts";

export const DKIM_PARAMETERS = {
  postern_dkim_signing_file: file(
    "",
    "Which keys sign for which domains, one key a line: `domain selector key-file`. `postern dkim generate` writes it. " +
      "Mail that users and programs of this site submit is signed for the domain in From. Empty: nothing is signed.",
    { origin: "postern" },
  ),
  postern_dkim_canonicalization: word(
    "relaxed/relaxed",
    ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"],
    "How header and body are brought into one form before they are signed (RFC 6376 §3.4).",
    { origin: "postern" },
  ),
  postern_dkim_signature_lifetime: time(
    "0",
    "d",
    { min: 0 },
    "After this time a signature no longer counts (`x=`). 0: it does not expire.",
    { origin: "postern" },
  ),
  postern_dkim_fallback_domain: text(
    "",
    "The domain that signs mail whose From domain has no key here, or may not sign for the login. Empty: such mail is not signed.",
    { origin: "postern" },
  ),
  postern_dkim_require_owner: bool(
    "${smtpd_sender_login_maps?{yes}:{no}}",
    "Sign mail of a client that has logged in with the keys of its From domain only if smtpd_sender_login_maps gives all of its " +
      "From addresses to the login.",
    { origin: "postern" },
  ),
  postern_dkim_unavailable_action: word(
    "defer",
    ["defer", "accept"],
    "What to do with a message whose signing key cannot be used: `defer` answers 451 4.7.5, `accept` queues it unsigned.",
    { origin: "postern" },
  ),
} satisfies Record<string, Declaration<unknown>>;
