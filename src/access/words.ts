/** access/words.ts: all restriction words: those that work here, one file each, and those that Postfix knows but that are
 *  not here yet. Words are compared without regard to case. */

import type { Word } from "./restriction.ts";
import { checkClientAccess } from "./restrictions/check-client-access.ts";
import { checkHeloAccess } from "./restrictions/check-helo-access.ts";
import { checkPolicyService } from "./restrictions/check-policy-service.ts";
import { checkRecipientAccess } from "./restrictions/check-recipient-access.ts";
import { checkSaslAccess } from "./restrictions/check-sasl-access.ts";
import { checkSenderAccess } from "./restrictions/check-sender-access.ts";
import { defer } from "./restrictions/defer.ts";
import { deferIfPermit } from "./restrictions/defer-if-permit.ts";
import { deferIfReject } from "./restrictions/defer-if-reject.ts";
import { permit } from "./restrictions/permit.ts";
import { permitAuthDestination } from "./restrictions/permit-auth-destination.ts";
import { permitInetInterfaces } from "./restrictions/permit-inet-interfaces.ts";
import { permitMynetworks } from "./restrictions/permit-mynetworks.ts";
import { permitSaslAuthenticated } from "./restrictions/permit-sasl-authenticated.ts";
import { reject } from "./restrictions/reject.ts";
import { rejectInvalidHeloHostname, rejectNonFqdnHeloHostname } from "./restrictions/reject-helo-hostname.ts";
import { rejectNonFqdnRecipient, rejectNonFqdnSender } from "./restrictions/reject-non-fqdn-address.ts";
import { rejectPlaintextSession } from "./restrictions/reject-plaintext-session.ts";
import {
  rejectAuthenticatedSenderLoginMismatch,
  rejectKnownSenderLoginMismatch,
  rejectSenderLoginMismatch,
  rejectUnauthenticatedSenderLoginMismatch,
} from "./restrictions/reject-sender-login-mismatch.ts";
import { deferUnauthDestination, rejectUnauthDestination } from "./restrictions/reject-unauth-destination.ts";
import { rejectUnauthPipelining } from "./restrictions/reject-unauth-pipelining.ts";
import { rejectUnlistedRecipient, rejectUnlistedSender } from "./restrictions/reject-unlisted.ts";
import { warnIfReject } from "./restrictions/warn-if-reject.ts";

/** Every word that works. */
export const WORDS: readonly Word[] = [
  permit,
  reject,
  defer,
  warnIfReject,
  deferIfPermit,
  deferIfReject,
  permitMynetworks,
  permitInetInterfaces,
  permitSaslAuthenticated,
  permitAuthDestination,
  rejectUnauthDestination,
  deferUnauthDestination,
  rejectNonFqdnSender,
  rejectNonFqdnRecipient,
  rejectInvalidHeloHostname,
  rejectNonFqdnHeloHostname,
  rejectSenderLoginMismatch,
  rejectAuthenticatedSenderLoginMismatch,
  rejectKnownSenderLoginMismatch,
  rejectUnauthenticatedSenderLoginMismatch,
  rejectUnlistedSender,
  rejectUnlistedRecipient,
  rejectUnauthPipelining,
  rejectPlaintextSession,
  checkClientAccess,
  checkHeloAccess,
  checkSenderAccess,
  checkRecipientAccess,
  checkSaslAccess,
  checkPolicyService,
];

const BY_NAME: ReadonlyMap<string, Word> = new Map(WORDS.flatMap((word) => word.names.map((name) => [name, word])));

/** Postfix words that are not here yet, and whether an argument follows: it must not be read as a word of its own. */
const UNSUPPORTED: ReadonlyMap<string, boolean> = new Map([
  ...[
    "permit_tls_clientcerts",
    "permit_tls_all_clientcerts",
    "permit_mx_backup",
    "permit_naked_ip_address",
    "check_relay_domains",
    "reject_maps_rbl",
    "reject_unknown_client_hostname",
    "reject_unknown_client",
    "reject_unknown_reverse_client_hostname",
    "reject_unknown_forward_client_hostname",
    "reject_unknown_helo_hostname",
    "reject_unknown_hostname",
    "reject_unknown_sender_domain",
    "reject_unknown_address",
    "reject_unknown_recipient_domain",
    "reject_unverified_sender",
    "reject_unverified_recipient",
    "reject_multi_recipient_bounce",
  ].map((name) => [name, false] as const),
  ...[
    "sleep",
    "check_ccert_access",
    "check_etrn_access",
    "check_reverse_client_hostname_access",
    "reject_rbl_client",
    "reject_rbl",
    "reject_rhsbl_client",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_sender",
    "reject_rhsbl_recipient",
    "permit_dnswl_client",
    "permit_rhswl_client",
    ...["client", "reverse_client_hostname", "helo", "sender", "recipient"].flatMap((who) =>
      ["a", "mx", "ns"].map((type) => `check_${who}_${type}_access`),
    ),
  ].map((name) => [name, true] as const),
]);

export type WordLookup =
  | { readonly kind: "word"; readonly word: Word }
  | { readonly kind: "unsupported"; readonly name: string; readonly takesArgument: boolean }
  | { readonly kind: "unknown" };

/** What a word of a list is. */
export function findWord(text: string): WordLookup {
  const name = text.toLowerCase();
  const word = BY_NAME.get(name);
  if (word) return { kind: "word", word };
  const takesArgument = UNSUPPORTED.get(name);
  return takesArgument === undefined ? { kind: "unknown" } : { kind: "unsupported", name, takesArgument };
}
