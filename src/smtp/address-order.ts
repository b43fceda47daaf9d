/** smtp/address-order.ts: in which order the addresses of a destination are tried: by preference of their exchanger, then as
 *  smtp_address_preference and smtp_randomize_addresses say; smtp_balance_inet_protocols. Pure. */
import type { LookupSettings } from "./settings.ts";

export interface RankedAddress {
  readonly address: string;
  readonly family: 4 | 6;
  /** Of the mail exchanger; equal for addresses without one. */
  readonly preference: number;
}

/** `random` gives numbers in [0, 1). */
export function inOrder<A extends RankedAddress>(
  addresses: readonly A[],
  lookup: LookupSettings,
  random: () => number,
): readonly A[] {
  const keyed = addresses.map((address) => ({ address, key: lookup.randomize ? random() : 0 }));
  const rank = (family: 4 | 6) => (lookup.preference !== "any" && lookup.preference !== `ipv${family}` ? 1 : 0);
  keyed.sort(
    (a, b) =>
      a.address.preference - b.address.preference || rank(a.address.family) - rank(b.address.family) || a.key - b.key,
  );
  return keyed.map(({ address }) => address);
}

/** The first `limit`, with as many of either family among them as there are, up to half. Order is kept. */
export function balanced<A extends RankedAddress>(addresses: readonly A[], limit: number): readonly A[] {
  if (addresses.length <= limit) return addresses;
  if (limit < 2) return addresses.slice(0, limit);
  const six = addresses.filter(({ family }) => family === 6).length;
  const four = addresses.length - six;
  const half = Math.floor(limit / 2);
  const most = { 6: limit, 4: limit };
  if (six > 0 && four > 0) {
    most[6] = Math.max(Math.min(six, half), limit - four);
    most[4] = limit - most[6];
  }
  const used = { 6: 0, 4: 0 };
  return addresses.filter(({ family }) => used[family]++ < most[family]).slice(0, limit);
}
