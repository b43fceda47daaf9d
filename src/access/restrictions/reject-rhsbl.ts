/** access/restrictions/reject-rhsbl.ts: `reject_rhsbl_{client,reverse_client,helo,sender,recipient} list.example[=filter]`, for
 *  names and domains that a DNS block list lists (RFC 5782 §3). A list that cannot be asked blocks nobody. */
import type { Facts } from "../access.ts";
import { DnsList } from "../dns-list.ts";
import { RblReply } from "../rbl-reply.ts";
import type { ReplyClass } from "../reply-text.ts";
import { DUNNO, type Word } from "../restriction.ts";

interface Source {
  readonly replyClass: ReplyClass;
  /** The name or mail address to ask about; "" or undefined for none. */
  readonly what: (facts: Facts) => string | undefined;
}

export const rejectRhsblClient = word("reject_rhsbl_client", {
  replyClass: "Client host",
  what: ({ client }) => knownName(client.name),
});

export const rejectRhsblReverseClient = word("reject_rhsbl_reverse_client", {
  replyClass: "Unverified Client host",
  what: ({ client }) => knownName(client.reverseName),
});

export const rejectRhsblHelo = word("reject_rhsbl_helo", { replyClass: "Helo command", what: ({ helo }) => helo });

export const rejectRhsblSender = word("reject_rhsbl_sender", {
  replyClass: "Sender address",
  what: ({ sender }) => sender,
});

export const rejectRhsblRecipient = word("reject_rhsbl_recipient", {
  replyClass: "Recipient address",
  what: ({ recipient }) => recipient,
});

function knownName(name: string): string | undefined {
  return name === "unknown" ? undefined : name;
}

function word(name: string, { replyClass, what }: Source): Word {
  return {
    names: [name],
    argument: "domain",
    build(services, rule) {
      const list = new DnsList(services, rule.argument);
      const reply = new RblReply(services);
      return async (context) => {
        const asked = what(context.facts);
        if (asked === undefined || asked === "") return DUNNO;
        const listing = await list.findDomain(asked, context);
        if (listing.kind !== "listed") return DUNNO;
        const reason = await list.reason(listing.query, context);
        return reply.refuse({ argument: list.argument, domain: list.domain, what: asked, replyClass, reason }, context);
      };
    },
  };
}
