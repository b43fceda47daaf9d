/** config/params/authentication.ts: the parameters of SPF, DKIM and DMARC for mail from elsewhere, each declared once. Postfix has none: it
 *  leaves them to Milters and policy servers. */
import { bool, type Declaration, int, list, text, time, word } from "../declare.ts";

const OURS = { origin: "postern" } as const;

export const AUTHENTICATION_PARAMETERS = {
  postern_authentication_results: bool(
    "no",
    "Verify mail from other sites by SPF, DKIM, DMARC and ARC, and say so in an `Authentication-Results` field on top of the message; fields of " +
      "that name that claim to be ours are removed. On services whose role is `mx`; on others only the removal. " +
      "See [authentication-results.md](authentication-results.md).",
    OURS,
  ),
  postern_authentication_service_id: text(
    "$myhostname",
    "What `Authentication-Results` names as its author (the authserv-id of RFC 8601).",
    OURS,
  ),
  postern_authentication_trusted_clients: list(
    "$mynetworks",
    "Clients whose mail is neither verified nor freed of `Authentication-Results` fields that claim to be ours: other servers of this " +
      "site; networks, host names, files and local tables.",
    OURS,
  ),
  postern_authentication_signature_limit: int(
    "10",
    { min: 1, max: 50 },
    "DKIM signatures of one message that are verified; those below them are passed over.",
    OURS,
  ),
  postern_authentication_timeout: time(
    "20s",
    "s",
    { min: 1000 },
    "The longest time that DNS lookups of one message may take, each for SPF of HELO, SPF of MAIL FROM, the keys of signatures, and " +
      "the DMARC policy; what is not known then is a `temperror`.",
    OURS,
  ),
  postern_authentication_results_login: bool(
    "no",
    "Also put `auth=pass` with the login name into an `Authentication-Results` field on mail of clients that logged in. It shows the name to every recipient.",
    OURS,
  ),
  postern_arc_seal: bool(
    "no",
    "Seal mail that was verified with an ARC set (RFC 8617), so that those to whom an alias or a .forward file sends it on can see what was " +
      "found here. The key is that of postern_arc_seal_domain in postern_dkim_signing_file.",
    OURS,
  ),
  postern_arc_seal_domain: text("$mydomain", "The domain in whose name postern_arc_seal seals.", OURS),
  postern_spf_temperror_action: word(
    "ignore",
    ["ignore", "defer"],
    "What reject_spf_fail does when DNS cannot answer: nothing, or 451 4.7.24.",
    OURS,
  ),
  postern_dmarc_temperror_action: word(
    "ignore",
    ["ignore", "defer"],
    "What reject_dmarc_fail does when DNS cannot answer: nothing, or 451 4.7.1.",
    OURS,
  ),
} satisfies Record<string, Declaration<unknown>>;
