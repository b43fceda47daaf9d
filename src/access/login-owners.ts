/** access/login-owners.ts: who owns a sender address (smtpd_sender_login_maps), for the reject_*_sender_login_mismatch
 *  words. Compares logins as they are; knows no reply. */
import { splitList } from "../config/declare.ts";
import type { Address } from "../mail/address.ts";
import { lookupKeysFor } from "./access-table.ts";
import type { Context, Services } from "./restriction.ts";

export type OwnersOf = (sender: Address, context: Context) => Promise<readonly string[] | undefined>;

/** A function that gives the logins that own an address; undefined when no table lists it. Rejects TableError. */
export function loginOwners(services: Services): OwnersOf {
  const { params, resolver } = services;
  const tables = params.get("smtpd_sender_login_maps").map((ref) => services.tables.open(ref));
  return async (sender, context) => {
    const address = resolver.rewrite(sender);
    const ownDomain = (await resolver.classOf(address)) === "local";
    for (const table of tables) {
      for (const key of lookupKeysFor(table, services).ofOwned(address, ownDomain)) {
        const answer = table.get(key);
        const value = answer instanceof Promise ? await answer : answer;
        context.trace?.lookup(table.ref, key, value);
        if (value !== undefined) return splitList(value, "smtpd_sender_login_maps");
      }
    }
    return undefined;
  };
}
