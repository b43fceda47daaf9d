/** access/login-owners.ts: who owns a sender address (smtpd_sender_login_maps), for the reject_*_sender_login_mismatch
 *  words. Compares logins as they are; knows no reply. */
import { splitList } from "../config/declare.ts";
import type { Address } from "../mail/address.ts";
import { lookupTables, mailAddrFindKeys } from "../tables/keys.ts";
import type { Context, Services } from "./restriction.ts";

export type OwnersOf = (sender: Address, context: Context) => Promise<readonly string[] | undefined>;

/** A function that gives the logins that own an address; undefined when no table lists it. Rejects TableError. */
export function loginOwners(services: Services): OwnersOf {
  const { params, resolver } = services;
  const tables = params.get("smtpd_sender_login_maps").map((ref) => services.tables.open(ref));
  const delimiter = params.get("recipient_delimiter");
  return async (sender, context) => {
    const address = resolver.rewrite(sender);
    const localDomain = (await resolver.classOf(address)) === "local";
    const hit = await lookupTables(tables, mailAddrFindKeys(address, { delimiter, localDomain }), context.trace);
    return hit && splitList(hit.value, "smtpd_sender_login_maps");
  };
}
