/** mail/address-prober.ts: the interface between the restrictions that ask whether an address is deliverable and the room
 *  that finds it out (verify/, injected by master/). */
import type { Address } from "./address.ts";

/** What is known of an address. */
export interface AddressStatus {
  /** "unreachable": the last probe failed for now. "pending": nothing is known yet, ask again. "failed": it cannot be known. */
  readonly kind: "deliverable" | "undeliverable" | "unreachable" | "pending" | "failed";
  /** Why, in the words of the next hop; printable. */
  readonly text: string;
}

export interface AddressProber {
  /** What is known now. Where that is nothing, or old, a probe is sent. `address` in canonical form. Never waits for a probe. */
  query(address: Address): AddressStatus;
}
