/** access/restrictions/reject-non-fqdn-address.ts: `reject_non_fqdn_sender`, `reject_non_fqdn_recipient`: the domain of
 *  the address must be a host name with a dot. Address literals are left to other restrictions. */
import { domainOf } from "../../mail/address.ts";
import { isFullyQualified } from "../hostname.ts";
import { addressCode } from "../reply-codes.ts";
import { rejected } from "../reply-text.ts";
import { DUNNO, type Evaluate, type Services, type Word } from "../restriction.ts";

export const rejectNonFqdnSender: Word = {
  names: ["reject_non_fqdn_sender"],
  argument: "none",
  build: (services) => check(services, "sender"),
};

export const rejectNonFqdnRecipient: Word = {
  names: ["reject_non_fqdn_recipient"],
  argument: "none",
  build: (services) => check(services, "recipient"),
};

function check({ params }: Services, who: "sender" | "recipient"): Evaluate {
  const code = addressCode(params, "non_fqdn_reject_code");
  const replyClass = who === "sender" ? "Sender address" : "Recipient address";
  return ({ facts }) => {
    const address = facts[who];
    if (address === undefined || address === "") return DUNNO;
    const domain = domainOf(address) ?? "";
    if (domain.startsWith("[") || isFullyQualified(domain)) return DUNNO;
    const reply = rejected(code, "5.5.2", { name: address, replyClass }, "need fully-qualified address");
    return { kind: "refuse", cause: "policy", reply };
  };
}
