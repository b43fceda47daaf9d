/** access/restrictions/reject-unknown-address.ts: `reject_unknown_sender_domain`, `reject_unknown_recipient_domain`: the domain
 *  needs an MX, A or AAAA record and no null MX (RFC 7505). Where this system is the destination nothing is asked. */
import { type Address, domainOf } from "../../mail/address.ts";
import type { AddressClass } from "../../rewrite/resolve.ts";
import { asciiDomain, DnsQuestions, type Existence } from "../dns-questions.ts";
import { addressCode } from "../reply-codes.ts";
import { rejected, type Subject } from "../reply-text.ts";
import { type Context, DUNNO, type Evaluate, type Outcome, type Services, type Word } from "../restriction.ts";
import { tempfailOutcome } from "../tempfail.ts";

export const rejectUnknownSenderDomain: Word = {
  names: ["reject_unknown_sender_domain", "reject_unknown_address"],
  argument: "none",
  build: (services) => check(services, "sender"),
};

export const rejectUnknownRecipientDomain: Word = {
  names: ["reject_unknown_recipient_domain"],
  argument: "none",
  build: (services) => check(services, "recipient"),
};

/** Classes for which this system is the final destination. Relay domains are asked about. */
const FINAL: ReadonlySet<AddressClass> = new Set(["local", "virtualAlias", "virtualMailbox"]);

interface Wording {
  readonly replyClass: "Sender address" | "Recipient address";
  readonly notFoundDsn: string;
  readonly nullMxCode: number;
  readonly nullMxDsn: string;
}

/** RFC 7505 §4.2: 556 5.1.10 for recipients; 550 5.7.27 for senders. */
const WORDING: Readonly<Record<"sender" | "recipient", Wording>> = {
  sender: { replyClass: "Sender address", notFoundDsn: "4.1.8", nullMxCode: 550, nullMxDsn: "5.7.27" },
  recipient: { replyClass: "Recipient address", notFoundDsn: "4.1.2", nullMxCode: 556, nullMxDsn: "5.1.10" },
};

function check(services: Services, who: "sender" | "recipient"): Evaluate {
  const questions = new DnsQuestions(services.dns);
  const outcomeOf = outcomes(services, WORDING[who]);
  return async (context) => {
    const address = context.facts[who];
    if (address === undefined || address === "") return DUNNO;
    const domain = await domainToAsk(address, context, services);
    if (domain === undefined) return DUNNO;
    return outcomeOf(await questions.mailHost(domain, context), address, domain);
  };
}

/** The domain whose existence matters; undefined for our own, for literals and for none. */
async function domainToAsk(address: Address, { trace }: Context, { resolver }: Services): Promise<string | undefined> {
  const rewritten = resolver.rewrite(address);
  const domain = domainOf(rewritten);
  if (domain === undefined || /^\[.*\]$/.test(domain)) return undefined;
  const found = await resolver.classOf(rewritten);
  trace?.lookup("address class of", rewritten, found);
  return FINAL.has(found) ? undefined : asciiDomain(domain);
}

function outcomes({ params }: Services, wording: Wording) {
  const sender = wording.replyClass === "Sender address";
  const code = sender ? addressCode(params, "unknown_address_reject_code") : params.get("unknown_address_reject_code");
  const action = params.get("unknown_address_tempfail_action");
  return (existence: Existence, address: Address, domain: string): Outcome => {
    const subject: Subject = { name: address, replyClass: wording.replyClass };
    const refuse = (refuseCode: number, dsn: string, text: string): Outcome => ({
      kind: "refuse",
      cause: "policy",
      reply: rejected(refuseCode, dsn, subject, text),
    });
    switch (existence) {
      case "exists":
        return DUNNO;
      case "nullMx":
        return refuse(wording.nullMxCode, wording.nullMxDsn, `Domain ${domain} does not accept mail (nullMX)`);
      case "malformed":
        return refuse(code, wording.notFoundDsn, "Malformed DNS server reply");
      case "absent":
        return refuse(code, wording.notFoundDsn, "Domain not found");
      case "temporary":
        return tempfailOutcome(action, rejected(450, wording.notFoundDsn, subject, "Domain not found"));
    }
  };
}
