/** rewrite/login-owners.ts: who owns an address (smtpd_sender_login_maps): whole address, without its extension, bare where the
 *  domain is local, @domain; several logins may own one. Compares logins as they are; knows no reply. */
import { splitList } from "../config/declare.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Address } from "../mail/address.ts";
import { lookupTables, mailAddrFindKeys } from "../tables/keys.ts";
import type { LookupTrace } from "../tables/lookup-trace.ts";
import type { TableOpener } from "../tables/table.ts";
import type { AddressResolver } from "./resolve.ts";

export interface LoginOwners {
  /** False while the tables are known to name nobody: none is set, or all are empty, as a file that is just being written. */
  readonly known: boolean;
  /** The logins; undefined when no table lists the address. Rejects TableError. */
  of(address: Address, trace?: LookupTrace): Promise<readonly string[] | undefined>;
}

export interface LoginOwnersDeps {
  readonly params: Parameters;
  readonly tables: TableOpener;
  readonly resolver: AddressResolver;
}

export function createLoginOwners({ params, tables, resolver }: LoginOwnersDeps): LoginOwners {
  const maps = params.get("smtpd_sender_login_maps").map((ref) => tables.open(ref));
  const delimiter = params.get("recipient_delimiter");
  return {
    get known() {
      return maps.some(({ entries, rules }) => (entries ?? rules) === undefined || size(entries) + size(rules) > 0);
    },
    async of(given, trace) {
      const address = resolver.rewrite(given);
      const localDomain = (await resolver.classOf(address)) === "local";
      const hit = await lookupTables(maps, mailAddrFindKeys(address, { delimiter, localDomain }), trace);
      return hit && splitList(hit.value, "smtpd_sender_login_maps");
    },
  };
}

function size(listed: ReadonlyMap<string, string> | readonly unknown[] | undefined): number {
  if (listed === undefined) return 0;
  return "size" in listed ? listed.size : listed.length;
}
