/** rewrite/recipients.ts: which addresses exist: the recipient table of each address class (LOCAL_RECIPIENT_README).
 *  Says only whether an address is listed; what becomes of one that is not is access/'s business. */
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import { lookupTables, mailAddrFindKeys, mailboxKeys } from "../tables/keys.ts";
import type { LookupTable, TableOpener } from "../tables/table.ts";
import type { AddressClass } from "./resolve.ts";

/** Postfix's names, as they stand in "User unknown in %s table". */
const TABLE_NAMES = {
  local: "local recipient",
  relay: "relay recipient",
  virtualAlias: "virtual alias",
  virtualMailbox: "virtual mailbox",
} as const;

export interface RecipientTables {
  /** The table that should list the address and does not; undefined if it is listed or there is nothing to check. */
  unlistedIn(address: Address, addressClass: AddressClass): Promise<string | undefined>;
}

/** Opens the recipient tables of one scope. */
export function createRecipientTables(params: Parameters, tables: TableOpener): RecipientTables {
  const delimiter = params.get("recipient_delimiter");
  const open = (refs: readonly string[]) => refs.map((ref) => tables.open(ref));
  const aliases = open(params.get("virtual_alias_maps"));
  const byClass = {
    local: openLocalRecipients(params, tables),
    relay: open(params.get("relay_recipient_maps")),
    virtualMailbox: open(params.get("virtual_mailbox_maps")),
  };
  const checked = { local: params.get("local_recipient_maps").length > 0 };
  const doubleBounce = (params.text("double_bounce_sender") || "double-bounce").toLowerCase();
  const listed = async (address: Address, addressClass: Exclude<AddressClass, "default">) => {
    if (addressClass === "virtualAlias") return false;
    const own = byClass[addressClass];
    if (addressClass === "local" ? !checked.local : own.length === 0) return true;
    return (await lookupTables(own, () => mailboxKeys(address, { delimiter }))) !== undefined;
  };
  return {
    async unlistedIn(address, addressClass) {
      if (addressClass === "default") return undefined;
      if (addressClass === "local" && alwaysListed(address, doubleBounce)) return undefined;
      const options = { delimiter, localDomain: addressClass === "local" };
      if (await lookupTables(aliases, () => mailAddrFindKeys(address, options))) return undefined;
      return (await listed(address, addressClass)) ? undefined : TABLE_NAMES[addressClass];
    },
  };
}

/** RFC 5321 §4.5.1 for postmaster; address probes and bounces go to the double bounce address. */
function alwaysListed(address: Address, doubleBounce: string): boolean {
  const local = localPartOf(address).toLowerCase();
  return local === "postmaster" || local === doubleBounce;
}

/** A table that only the default of alias_maps names, and that is not there, is skipped: most hosts have no NIS and many no
 *  /etc/aliases. What the operator wrote must work. */
function openLocalRecipients(params: Parameters, tables: TableOpener): readonly LookupTable[] {
  const byDefault = params.source("alias_maps") === undefined;
  const viaMacro = /\$[({]?alias_maps\b/.test(params.unexpanded("local_recipient_maps") ?? "");
  const optional = new Set(byDefault && viaMacro ? params.get("alias_maps") : []);
  return params
    .get("local_recipient_maps")
    .map((ref) => tables.open(ref))
    .filter((table) => table.problem === undefined || !optional.has(table.ref));
}

/** The domain of an address in lower case, without final dot; "" if there is none. */
export function plainDomain(address: Address): string {
  return (domainOf(address) ?? "").toLowerCase().replace(/\.$/, "");
}
