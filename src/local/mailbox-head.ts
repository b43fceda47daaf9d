/** local/mailbox-head.ts: the header lines that local(8) and virtual(8) put on top of mail in a mailbox, LF line ends, in their order.
 *  Addresses are made printable: a line end in one would begin a header of the sender's. */
import { type Address, asAddress, formatAddress } from "../mail/address.ts";
import type { DeliveryRecipient } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";

/** `deliveredTo`: "file" stands in prepend_delivered_header. */
export function mailboxHead(
  sender: Address,
  { address, original }: Pick<DeliveryRecipient, "address" | "original">,
  { deliveredTo }: { readonly deliveredTo: boolean },
): Uint8Array {
  const shown = (one: Address) => printableUtf8(formatAddress(one));
  const lines = [
    `Return-Path: <${shown(sender)}>\n`,
    `X-Original-To: ${shown(original === "" ? address : original)}\n`,
    // \name is the mailbox of the name.
    deliveredTo ? `Delivered-To: ${shown(asAddress(address.replace(/^\\/, "")))}\n` : "",
  ];
  return Buffer.from(lines.join(""));
}
