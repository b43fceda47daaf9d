/** rewrite/map-address.ts: following address maps until they say no more: one to one for canonical maps (cleanup_map11), one to
 *  many for virtual aliases (cleanup_map1n). An address that leads to itself ends its way. */
import type { Address } from "../mail/address.ts";
import type { AddressMap } from "./address-map.ts";
import { askedFor, MappingError } from "./mapping-error.ts";

/** Postfix's own, which no parameter changes. */
const CANONICAL_STEPS = 1000;

/** virtual_alias_expansion_limit, virtual_alias_recursion_limit, virtual_alias_address_length_limit (bytes). */
export interface AliasLimits {
  readonly expansion: number;
  readonly recursion: number;
  readonly addressLength: number;
}

/** The address at the end of a canonical map. Rejects MappingError. */
export async function mapOne(address: Address, map: AddressMap, warn: (text: string) => void): Promise<Address> {
  let current = address;
  for (let step = 0; step < CANONICAL_STEPS; step++) {
    const asked = current;
    const results = await askedFor(map.name, asked, () => map.lookup(asked));
    const next = results?.[0];
    if (next === undefined) return current;
    if (results !== undefined && results.length > 1) warn(`multi-valued ${map.name} entry for ${asked}`);
    current = next;
    if (sameAddress(asked, next)) return current;
  }
  throw new MappingError("limit", `unreasonable ${map.name} map nesting for ${address}`);
}

/** All addresses that an alias leads to, in Postfix's order; the address itself if it is none. Rejects MappingError. */
export async function expandAliases(
  address: Address,
  map: AddressMap,
  limits: AliasLimits,
): Promise<readonly Address[]> {
  const addresses: Address[] = [address];
  const self = new Set<string>();
  for (let i = 0; i < addresses.length; i++) {
    if (addresses.length > limits.expansion) {
      throw new MappingError("limit", `unreasonable ${map.name} map expansion size for ${address}`);
    }
    for (let depth = 0; ; depth++) {
      const current = addresses[i] ?? address;
      if (self.has(current.toLowerCase())) break;
      if (depth >= limits.recursion) {
        throw new MappingError("limit", `unreasonable ${map.name} map nesting for ${address}`);
      }
      const results = await askedFor(map.name, current, () => map.lookup(current));
      if (results === undefined) break;
      for (const result of results) checkLength(result, map, limits);
      if (results.some((result) => sameAddress(result, current))) self.add(current.toLowerCase());
      addresses.splice(i, 1, ...results.slice(0, 1));
      addresses.push(...results.slice(1));
    }
  }
  return addresses;
}

function checkLength(result: Address, map: AddressMap, limits: AliasLimits): void {
  if (Buffer.byteLength(result) <= limits.addressLength) return;
  throw new MappingError("limit", `unreasonable ${map.name} result ${result.slice(0, 300)}...`);
}

function sameAddress(a: Address, b: Address): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
