/** rewrite/masquerade.ts: masquerade_domains: hides host names behind their domain (ADDRESS_REWRITING_README). */
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";

export interface MasqueradeRules {
  /** In order, lower case; `!name` spares what it covers. */
  readonly domains: readonly string[];
  /** User names that keep their domain. Rejects TableError. */
  readonly isExcepted: (user: string) => boolean | Promise<boolean>;
}

/** The first domain that covers the address's own decides. */
export async function masquerade(address: Address, rules: MasqueradeRules): Promise<Address> {
  const domain = domainOf(address)?.toLowerCase();
  if (domain === undefined) return address;
  for (const item of rules.domains) {
    const name = item.replace(/^!+/, "");
    if (domain === name) return address;
    if (name === "" || !domain.endsWith(`.${name}`)) continue;
    const spared = (item.length - name.length) % 2 === 1;
    if (spared || (await rules.isExcepted(localPartOf(address)))) return address;
    return asAddress(`${localPartOf(address)}@${name}`);
  }
  return address;
}
