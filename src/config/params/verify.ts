/** config/params/verify.ts: the parameters of address verification (verify(8), ADDRESS_VERIFICATION_README), each declared
 *  once. */
import { type Declaration, word } from "../declare.ts";

const TARGETS = ["rcpt", "data"] as const;

export const VERIFY_PARAMETERS = {
  smtp_address_verify_target: word(
    "rcpt",
    TARGETS,
    "The last command of a probe: rcpt, or data for next hops that refuse recipients only there.",
  ),
  lmtp_address_verify_target: word("rcpt", TARGETS, "The last command of a probe."),
} satisfies Record<string, Declaration<unknown>>;
