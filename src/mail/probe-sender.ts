/** mail/probe-sender.ts: the sender of address probes (address_verify_sender, address_verify_sender_ttl): with a life time
 *  its local part ends in the number of the period, so that an address that somebody has noted is worth nothing later. */
import { type Address, asAddress, domainOf, localPartOf, NULL_ADDRESS } from "./address.ts";

/** Digits of queue ids: no vowels, so no words. */
const DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZ";

export interface ProbeSender {
  /** In canonical form; "": the null sender. */
  readonly address: Address;
  /** Milliseconds; 0: it never changes. */
  readonly lifeMs: number;
}

/** The sender of a probe that is sent now. */
export function probeSenderAt({ address, lifeMs }: ProbeSender, nowMs: number): Address {
  if (address === "" || lifeMs === 0) return address;
  const domain = domainOf(address);
  const local = `${localPartOf(address)}${digitsOf(Math.floor(nowMs / lifeMs))}`;
  return asAddress(domain === undefined ? local : `${local}@${domain}`);
}

/** Whether mail to the address is for the sender of a probe of this period, the one before, or the one after. */
export function isProbeSender(given: Address, sender: ProbeSender, nowMs: number): boolean {
  if (sender.address === NULL_ADDRESS) return false;
  if (sender.lifeMs === 0) return given.toLowerCase() === sender.address.toLowerCase();
  return [-1, 0, 1].some((n) => probeSenderAt(sender, nowMs + n * sender.lifeMs).toLowerCase() === given.toLowerCase());
}

function digitsOf(value: number): string {
  let text = "";
  for (let left = value; left > 0 || text === ""; left = Math.floor(left / DIGITS.length)) {
    text = `${DIGITS[left % DIGITS.length]}${text}`;
  }
  return text;
}
