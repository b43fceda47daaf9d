/** access/words.ts: all restriction words: those that work here, one file each, and those that
 *  Postfix has removed. Words are compared without regard to case. */

import type { Word } from "./restriction.ts";
import { checkCcertAccess } from "./restrictions/check-ccert-access.ts";
import { checkClientAccess } from "./restrictions/check-client-access.ts";
import { checkEtrnAccess } from "./restrictions/check-etrn-access.ts";
import { checkHeloAccess } from "./restrictions/check-helo-access.ts";
import { checkPolicyService } from "./restrictions/check-policy-service.ts";
import { checkRecipientAccess } from "./restrictions/check-recipient-access.ts";
import { checkReverseClientHostnameAccess } from "./restrictions/check-reverse-client-hostname-access.ts";
import { checkSaslAccess } from "./restrictions/check-sasl-access.ts";
import { checkSenderAccess } from "./restrictions/check-sender-access.ts";
import { SERVER_ACCESS_WORDS } from "./restrictions/check-server-access.ts";
import { defer } from "./restrictions/defer.ts";
import { deferIfPermit } from "./restrictions/defer-if-permit.ts";
import { deferIfReject } from "./restrictions/defer-if-reject.ts";
import { permit } from "./restrictions/permit.ts";
import { permitAuthDestination } from "./restrictions/permit-auth-destination.ts";
import { permitDnswlClient, permitRhswlClient } from "./restrictions/permit-dnswl-client.ts";
import { permitInetInterfaces } from "./restrictions/permit-inet-interfaces.ts";
import { permitMxBackup } from "./restrictions/permit-mx-backup.ts";
import { permitMynetworks } from "./restrictions/permit-mynetworks.ts";
import { permitPostmaster } from "./restrictions/permit-postmaster.ts";
import { permitSaslAuthenticated } from "./restrictions/permit-sasl-authenticated.ts";
import { permitTlsAllClientcerts, permitTlsClientcerts } from "./restrictions/permit-tls-clientcerts.ts";
import { reject } from "./restrictions/reject.ts";
import { rejectDmarcFail } from "./restrictions/reject-dmarc-fail.ts";
import { rejectInvalidHeloHostname, rejectNonFqdnHeloHostname } from "./restrictions/reject-helo-hostname.ts";
import { rejectMultiRecipientBounce } from "./restrictions/reject-multi-recipient-bounce.ts";
import { rejectNonFqdnRecipient, rejectNonFqdnSender } from "./restrictions/reject-non-fqdn-address.ts";
import { rejectPlaintextSession } from "./restrictions/reject-plaintext-session.ts";
import { rejectRblClient } from "./restrictions/reject-rbl-client.ts";
import {
  rejectRhsblClient,
  rejectRhsblHelo,
  rejectRhsblRecipient,
  rejectRhsblReverseClient,
  rejectRhsblSender,
} from "./restrictions/reject-rhsbl.ts";
import {
  rejectAuthenticatedSenderLoginMismatch,
  rejectKnownSenderLoginMismatch,
  rejectSenderLoginMismatch,
  rejectUnauthenticatedSenderLoginMismatch,
} from "./restrictions/reject-sender-login-mismatch.ts";
import { rejectSpfFail } from "./restrictions/reject-spf-fail.ts";
import { deferUnauthDestination, rejectUnauthDestination } from "./restrictions/reject-unauth-destination.ts";
import { rejectUnauthPipelining } from "./restrictions/reject-unauth-pipelining.ts";
import { rejectUnknownRecipientDomain, rejectUnknownSenderDomain } from "./restrictions/reject-unknown-address.ts";
import {
  rejectUnknownClientHostname,
  rejectUnknownReverseClientHostname,
} from "./restrictions/reject-unknown-client-hostname.ts";
import { rejectUnknownHeloHostname } from "./restrictions/reject-unknown-helo-hostname.ts";
import { rejectUnlistedRecipient, rejectUnlistedSender } from "./restrictions/reject-unlisted.ts";
import { rejectUnverifiedRecipient, rejectUnverifiedSender } from "./restrictions/reject-unverified.ts";
import { sleep } from "./restrictions/sleep.ts";
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
  permitPostmaster,
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
  rejectUnverifiedSender,
  rejectUnverifiedRecipient,
  rejectUnauthPipelining,
  rejectPlaintextSession,
  checkClientAccess,
  checkHeloAccess,
  checkSenderAccess,
  checkRecipientAccess,
  checkSaslAccess,
  checkPolicyService,
  sleep,
  rejectUnknownClientHostname,
  rejectUnknownReverseClientHostname,
  rejectUnknownHeloHostname,
  rejectUnknownSenderDomain,
  rejectUnknownRecipientDomain,
  rejectMultiRecipientBounce,
  rejectSpfFail,
  rejectDmarcFail,
  permitMxBackup,
  permitTlsClientcerts,
  permitTlsAllClientcerts,
  rejectRblClient,
  rejectRhsblClient,
  rejectRhsblReverseClient,
  rejectRhsblHelo,
  rejectRhsblSender,
  rejectRhsblRecipient,
  permitDnswlClient,
  permitRhswlClient,
  checkCcertAccess,
  checkEtrnAccess,
  checkReverseClientHostnameAccess,
  ...SERVER_ACCESS_WORDS,
];

const BY_NAME: ReadonlyMap<string, Word> = new Map(WORDS.flatMap((word) => word.names.map((name) => [name, word])));

/** Words that Postfix 3.9 has removed, and what to write instead. Both answer 451 4.3.5. */
const REMOVED: ReadonlyMap<string, string> = new Map([
  ["check_relay_domains", '"reject_unauth_destination"'],
  ["permit_naked_ip_address", '"permit_mynetworks" or "permit_sasl_authenticated"'],
  ["reject_maps_rbl", '"reject_rbl_client domain-name"'],
]);

export type WordLookup =
  | { readonly kind: "word"; readonly word: Word }
  | { readonly kind: "removed"; readonly name: string; readonly instead: string }
  | { readonly kind: "unknown" };

/** What a word of a list is. */
export function findWord(text: string): WordLookup {
  const name = text.toLowerCase();
  const word = BY_NAME.get(name);
  if (word) return { kind: "word", word };
  const instead = REMOVED.get(name);
  return instead === undefined ? { kind: "unknown" } : { kind: "removed", name, instead };
}
