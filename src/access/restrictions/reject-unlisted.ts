/** access/restrictions/reject-unlisted.ts: `reject_unlisted_sender`, `reject_unlisted_recipient` (check_recipient_maps):
 *  addresses in our own domains must be listed in the recipient table of their class. */
import type { Word } from "../restriction.ts";
import { checkListed } from "../unlisted.ts";

export const rejectUnlistedSender: Word = {
  names: ["reject_unlisted_sender"],
  argument: "none",
  build: (services) => (context) => checkListed("sender", context, services),
};

export const rejectUnlistedRecipient: Word = {
  names: ["reject_unlisted_recipient", "check_recipient_maps"],
  argument: "none",
  build: (services) => (context) => checkListed("recipient", context, services),
};
