/** access/reply-codes.ts: where RFC 6409 names another reply code than Postfix (postern_reply_codes). A code that main.cf sets stays. */
import type { Parameters } from "../config/parameters.ts";

const RFC6409 = {
  /** §4.2 (SUB-09, SUB-10). */
  non_fqdn_reject_code: 554,
  /** §3.2, of senders (SUB-05). */
  unknown_address_reject_code: 550,
} as const;

/** The code of a parameter for refusals of envelope addresses. */
export function addressCode(params: Parameters, name: keyof typeof RFC6409): number {
  const given = params.source(name) !== undefined;
  return given || params.get("postern_reply_codes") === "postfix" ? params.get(name) : RFC6409[name];
}

/** Of a sender that is not the login's (RFC 6409 §6.1, SUB-22). */
export function mismatchCode(params: Parameters): 550 | 553 {
  return params.get("postern_reply_codes") === "postfix" ? 553 : 550;
}
