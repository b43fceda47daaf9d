/** access/restrictions/reject-unverified.ts: `reject_unverified_sender`, `reject_unverified_recipient`: the address must be
 *  deliverable, as a probe to its next hop has found (ADDRESS_VERIFICATION_README, verify/). Asks a few times while a probe
 *  is under way, then tells the client to come back. Nobody verifies the null sender. */
import { systemClock } from "../../base/clock.ts";
import { unreachable } from "../../base/unreachable.ts";
import type { Parameters } from "../../config/parameters.ts";
import type { Address } from "../../mail/address.ts";
import type { AddressProber, AddressStatus } from "../../mail/address-prober.ts";
import { rejected, type Subject } from "../reply-text.ts";
import { type Context, DUNNO, type Evaluate, type Outcome, type Services, type Word } from "../restriction.ts";
import { type TempfailAction, tempfailOutcome } from "../tempfail.ts";

export const rejectUnverifiedSender: Word = {
  names: ["reject_unverified_sender"],
  argument: "none",
  build: (services) => verify(services, "sender"),
};

export const rejectUnverifiedRecipient: Word = {
  names: ["reject_unverified_recipient"],
  argument: "none",
  build: (services) => verify(services, "recipient"),
};

interface Wording {
  readonly replyClass: "Sender address" | "Recipient address";
  /** The class digit follows the reply code. */
  readonly dsn: string;
  readonly rejectCode: number;
  readonly deferCode: number;
  /** Instead of what the probe has found; "": none. */
  readonly reason: string;
  readonly tempfail: TempfailAction;
}

/** Longest part of a reason that a reply tells. */
const MAX_REASON = 250;
const NO_PROBER: AddressStatus = { kind: "failed", text: "address verification problem" };

function verify(services: Services, who: "sender" | "recipient"): Evaluate {
  const { params, resolver, prober } = services;
  const wording = wordingOf(params, who);
  const ask = patiently(params, services.clock ?? systemClock);
  return async (context) => {
    const address = context.facts[who];
    if (address === undefined || address === "") return DUNNO;
    const status = prober ? await ask(prober, resolver.rewrite(address), context) : NO_PROBER;
    return outcomeOf(status, { name: address, replyClass: wording.replyClass }, wording);
  };
}

/** address_verify_poll_count questions, address_verify_poll_delay between them. */
function patiently(params: Parameters, clock: Pick<typeof systemClock, "sleep">) {
  const tries = params.get("address_verify_poll_count");
  const delayMs = params.get("address_verify_poll_delay");
  return async (prober: AddressProber, address: Address, { trace }: Context): Promise<AddressStatus> => {
    const source = "verification of";
    try {
      let status = prober.query(address);
      for (let i = 1; i < tries && status.kind === "pending"; i++) {
        await clock.sleep(delayMs);
        status = prober.query(address);
      }
      trace?.lookup(source, address, `${status.kind}: ${status.text}`);
      return status;
    } catch (error) {
      trace?.lookup(source, address, error);
      throw error;
    }
  };
}

function wordingOf(params: Parameters, who: "sender" | "recipient"): Wording {
  return {
    ...(who === "sender"
      ? { replyClass: "Sender address", dsn: "4.1.7" }
      : { replyClass: "Recipient address", dsn: "4.1.1" }),
    rejectCode: params.get(`unverified_${who}_reject_code`),
    deferCode: params.get(`unverified_${who}_defer_code`),
    reason: params.get(`unverified_${who}_reject_reason`),
    tempfail: params.get(`unverified_${who}_tempfail_action`),
  };
}

function outcomeOf({ kind, text }: AddressStatus, subject: Subject, wording: Wording): Outcome {
  const { dsn, rejectCode, deferCode, tempfail } = wording;
  const why = (wording.reason || text).slice(0, MAX_REASON);
  switch (kind) {
    case "deliverable":
      return DUNNO;
    case "undeliverable": {
      // A refusal that is only for now does not say that it is for good.
      const state = rejectCode < 500 ? "unverified" : "undeliverable";
      return {
        kind: "refuse",
        cause: "policy",
        reply: rejected(rejectCode, dsn, subject, `${state} address: ${why}`),
      };
    }
    case "unreachable":
      return tempfailOutcome(tempfail, rejected(deferCode, dsn, subject, `unverified address: ${why}`));
    case "pending":
      return tempfailOutcome(tempfail, rejected(450, dsn, subject, `unverified address: ${text}`));
    case "failed":
      return tempfailOutcome(tempfail, rejected(450, dsn, subject, "address verification problem"));
    default:
      return unreachable(kind);
  }
}
