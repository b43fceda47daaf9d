/** rewrite/address-map.ts: one list of tables that lead from addresses to addresses (canonical(5), virtual(5), generic(5)), asked as
 *  mail_addr_map(3postfix) does: keys in order, `@domain` results, extensions that no key matched. */
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";
import { parseAddressList } from "../mail/header-address.ts";
import { lookupTables, mailAddrFindKeys, splitExtension } from "../tables/keys.ts";
import { type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import type { AddressResolver } from "./resolve.ts";

/** The lists that exist; also their names in the log. */
export type AddressMapName =
  | "canonical_maps"
  | "sender_canonical_maps"
  | "recipient_canonical_maps"
  | "virtual_alias_maps"
  | "smtp_generic_maps"
  | "lmtp_generic_maps"
  | "sender_bcc_maps"
  | "recipient_bcc_maps";

export interface AddressMap {
  readonly name: AddressMapName;
  /** Where the address leads, at least one; undefined: it is not listed. Rejects TableError. */
  lookup(address: Address): Promise<readonly Address[] | undefined>;
}

export interface AddressMapDeps {
  readonly tables: TableOpener;
  readonly resolver: Pick<AddressResolver, "rewrite" | "classOf">;
}

/** undefined if the parameter is empty: nothing is looked up. `extension`: the word of propagate_unmatched_extensions. */
export function createAddressMap(
  name: AddressMapName,
  extension: "canonical" | "virtual" | "generic" | "none",
  params: Parameters,
  deps: AddressMapDeps,
): AddressMap | undefined {
  const tables = params.get(name).map((ref) => deps.tables.open(ref));
  if (tables.length === 0) return undefined;
  const map = new TableMap(tables, { name, params, resolver: deps.resolver });
  const propagate = params.get("propagate_unmatched_extensions").some((word) => word.toLowerCase() === extension);
  return { name, lookup: (address) => map.lookup(address, propagate) };
}

class TableMap {
  readonly #tables: readonly LookupTable[];
  readonly #name: string;
  readonly #resolver: AddressMapDeps["resolver"];
  readonly #delimiter: string;
  readonly #myorigin: string;

  constructor(
    tables: readonly LookupTable[],
    options: { readonly name: string; readonly params: Parameters; readonly resolver: AddressMapDeps["resolver"] },
  ) {
    this.#tables = tables;
    this.#name = options.name;
    this.#resolver = options.resolver;
    this.#delimiter = options.params.text("recipient_delimiter");
    this.#myorigin = options.params.text("myorigin").toLowerCase();
  }

  async lookup(address: Address, propagate: boolean): Promise<readonly Address[] | undefined> {
    const local = localPartOf(address);
    const split = splitExtension(local, this.#delimiter);
    const localDomain = await this.#isLocal(address);
    const hit = await lookupTables(
      this.#tables,
      mailAddrFindKeys(address, { delimiter: this.#delimiter, localDomain }),
    );
    if (hit === undefined) return undefined;
    const whole = hit.key === address || hit.key === local;
    const unmatched = split && !whole ? split : undefined;
    const value = hit.value.trim();
    // `@domain` keeps the user, with the extension, which would otherwise be propagated.
    const user = propagate ? (unmatched?.base ?? local) : local;
    const results = value.startsWith("@") ? [asAddress(`${user}${value}`)] : parseAddressList(value);
    if (results.length === 0) {
      throw new TableError(`${this.#name} lookup of ${address} returns non-address result "${value}"`);
    }
    const extension = propagate ? (unmatched?.extension ?? "") : "";
    return results.map((result) => extend(this.#resolver.rewrite(result), extension));
  }

  /** Whether the bare local part is a key too. */
  async #isLocal(address: Address): Promise<boolean> {
    const domain = domainOf(address);
    if (domain === undefined || !this.#tables.some(({ partialKeys }) => partialKeys)) return false;
    if (domain.toLowerCase() === this.#myorigin) return true;
    return (await this.#resolver.classOf(asAddress(`x@${domain}`))) === "local";
  }
}

function extend(address: Address, extension: string): Address {
  if (extension === "") return address;
  const domain = domainOf(address);
  return asAddress(`${localPartOf(address)}${extension}${domain === undefined ? "" : `@${domain}`}`);
}
