/** master/address-mapping.ts: what cleanup needs to map addresses under the options of one service. */
import { whenKnown } from "../base/awaitable.ts";
import type { CleanupDeps } from "../cleanup/deps.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, NULL_ADDRESS } from "../mail/address.ts";
import { askedFor } from "../rewrite/mapping-error.ts";
import { createMappings } from "../rewrite/mappings.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { TableOpener } from "../tables/table.ts";

/** Nothing with receive_override_options = no_address_mappings. */
export function mappingOf(
  params: Parameters,
  deps: { readonly tables: TableOpener; readonly resolver: AddressResolver },
): Pick<CleanupDeps, "mapping"> {
  if (params.get("receive_override_options").includes("no_address_mappings")) return {};
  const { resolver } = deps;
  const peel = (address: Address) => {
    if (!resolver.hasSenderRouting(address)) return undefined;
    const routed = async () => whenKnown(resolver.route(address, NULL_ADDRESS), ({ recipient }) => recipient);
    return askedFor("transport", address, routed);
  };
  return { mapping: { mappings: createMappings(params, deps), rewrite: (address) => resolver.rewrite(address), peel } };
}
