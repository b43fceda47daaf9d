/** access/restrictions/reject-helo-hostname.ts: `reject_invalid_helo_hostname` and `reject_non_fqdn_helo_hostname`.
 *  Mail programs greet with bare names: the second belongs on port 25, not on 587. */
import { isAddressLiteral, isFullyQualified, isHostAddress, isHostname, withoutFinalDot } from "../hostname.ts";
import { rejected } from "../reply-text.ts";
import { DUNNO, type Evaluate, type Services, type Word } from "../restriction.ts";

export const rejectInvalidHeloHostname: Word = {
  names: ["reject_invalid_helo_hostname", "reject_invalid_hostname"],
  argument: "none",
  build: (services) =>
    check(services, {
      code: services.params.get("invalid_hostname_reject_code"),
      accepts: (name) => isHostname(withoutFinalDot(name)) || isHostAddress(name),
      text: "Invalid name",
    }),
};

export const rejectNonFqdnHeloHostname: Word = {
  names: ["reject_non_fqdn_helo_hostname", "reject_non_fqdn_hostname"],
  argument: "none",
  build: (services) =>
    check(services, {
      code: services.params.get("non_fqdn_reject_code"),
      accepts: isFullyQualified,
      text: "need fully-qualified hostname",
    }),
};

interface NameRule {
  readonly code: number;
  readonly accepts: (name: string) => boolean;
  readonly text: string;
}

function check({ params }: Services, rule: NameRule): Evaluate {
  const literalCode = params.get("invalid_hostname_reject_code");
  return ({ facts }) => {
    const { helo } = facts;
    if (helo === undefined) return DUNNO;
    const subject = { name: helo, replyClass: "Helo command" } as const;
    if (helo.startsWith("[")) {
      if (isAddressLiteral(helo)) return DUNNO;
      return { kind: "refuse", cause: "policy", reply: rejected(literalCode, "5.5.2", subject, "invalid ip address") };
    }
    if (rule.accepts(helo)) return DUNNO;
    return { kind: "refuse", cause: "policy", reply: rejected(rule.code, "5.5.2", subject, rule.text) };
  };
}
