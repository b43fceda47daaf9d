/** access/destination.ts: whether a recipient is one this server may relay to (postfix.md §1.5): its domain is local,
 *  virtual or a relay domain, and the sender has not written a route into it. */
import type { Address } from "../mail/address.ts";
import { domainOf } from "../mail/address.ts";
import type { AddressClass } from "../rewrite/resolve.ts";
import type { Context, Services } from "./restriction.ts";

/** True for authorised destinations. Throws or rejects TableError. */
export function isAuthorizedDestination(
  recipient: Address,
  context: Context,
  { resolver, params }: Services,
): boolean | Promise<boolean> {
  const address = resolver.rewrite(recipient);
  if (domainOf(address) === undefined) return true; // a bare local part is ours
  if (!params.get("allow_untrusted_routing") && resolver.hasSenderRouting(address)) {
    context.noteLookup(`"${address}" has sender-specified routing`);
    return false;
  }
  const answer = (found: AddressClass): boolean => {
    context.noteLookup(`address class of "${address}" -> ${found}`);
    return found !== "default";
  };
  const found = resolver.classOf(address);
  return found instanceof Promise ? found.then(answer) : answer(found);
}
