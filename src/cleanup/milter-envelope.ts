/** cleanup/milter-envelope.ts: the envelope as Milters have changed it: another sender, recipients more and less
 *  (cleanup_chg_from, cleanup_add_rcpt, cleanup_del_rcpt). */
import type { Address } from "../mail/address.ts";
import type { Recipient } from "../mail/envelope.ts";
import type { MessageEdits } from "../milter/edits.ts";
import type { MappedEnvelope } from "./map-envelope.ts";

export interface EnvelopeChanges {
  /** A sender as it is queued: canonical form, mapped. May reject MappingError. */
  readonly mapSender: (address: Address) => Promise<Address>;
  /** What an added recipient leads to. May reject MappingError. */
  readonly mapRecipient: (address: Address) => Promise<readonly Address[]>;
  /** Recipients are told apart by what was said to us (enable_original_recipient). */
  readonly byOriginal: boolean;
  /** Takes log lines without queue id. */
  readonly warn: (text: string) => void;
}

/** Rejects MappingError. */
export async function changedEnvelope(
  { sender, recipients: given }: MappedEnvelope,
  edits: Pick<MessageEdits, "sender" | "recipients">,
  { mapSender, mapRecipient, byOriginal, warn }: EnvelopeChanges,
): Promise<MappedEnvelope> {
  const said = ({ address, original }: Recipient) => (byOriginal && original !== "" ? original : address);
  let recipients = given;
  for (const { kind, address } of edits.recipients) {
    // All that an alias has led to goes with it.
    if (kind === "delete") recipients = recipients.filter((one) => said(one) !== address);
    else if (address === "") warn("ignoring attempt from Milter to add null recipient");
    else recipients = withOthers(recipients, address, await mapRecipient(address));
  }
  const changed = edits.sender === undefined ? sender : await mapSender(edits.sender);
  return { sender: changed, recipients };
}

/** Who gets the message already does not get it twice. */
function withOthers(
  recipients: readonly Recipient[],
  original: Address,
  addresses: readonly Address[],
): readonly Recipient[] {
  const known = new Set(recipients.map(({ address }) => address.toLowerCase()));
  const more = addresses.filter((address) => !known.has(address.toLowerCase()));
  return [...recipients, ...more.map((address) => ({ address, original }))];
}
