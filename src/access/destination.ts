/** access/destination.ts: whether a recipient is one this server may relay to (postfix.md §1.5): its domain is local,
 *  virtual or a relay domain, and the sender has not written a route into it. */
import type { Address } from "../mail/address.ts";
import { domainOf } from "../mail/address.ts";
import { printableAscii } from "../mail/printable.ts";
import type { AddressClass } from "../rewrite/resolve.ts";
import { oldDefaultText, usesOldDefault } from "./backward-compatibility.ts";
import type { Context, Services } from "./restriction.ts";

/** True for authorised destinations. Throws or rejects TableError. */
export function isAuthorizedDestination(
  recipient: Address,
  context: Context,
  { resolver, params, log }: Services,
): boolean | Promise<boolean> {
  const address = resolver.rewrite(recipient);
  if (domainOf(address) === undefined) return true; // a bare local part is ours
  if (!params.get("allow_untrusted_routing") && resolver.hasSenderRouting(address)) {
    context.trace?.remark(`"${address}" has sender-specified routing`);
    return false;
  }
  const answer = (found: AddressClass): boolean => {
    context.trace?.lookup("address class of", address, found);
    if (found === "relay" && usesOldDefault(params, "relay_domains", "2")) {
      const effect = `accept mail for domain "${domainOf(address)}"`;
      log.info(printableAscii(oldDefaultText("relay_domains=$mydestination", effect)));
    }
    return found !== "default";
  };
  const found = resolver.classOf(address);
  return found instanceof Promise ? found.then(answer) : answer(found);
}
