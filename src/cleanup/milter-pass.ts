/** cleanup/milter-pass.ts: which Milters one message goes through, with what: those of its SMTP session, or, for mail that came another
 *  way, those of non_smtpd_milters, to which the session is told as if there had been one. */
import type { Address } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { MessageOptions } from "./cleanup.ts";
import type { CleanupDeps } from "./deps.ts";
import { type MilterInput, type MilterOutput, type MilterStageDeps, passMilters } from "./milter-stage.ts";
import { passUntold } from "./untold-session.ts";

/** Rejects QueueError and MappingError. */
export type MilterPass = (input: MilterInput) => Promise<MilterOutput>;

/** undefined: no Milter is asked about the message. */
export function milterPass(options: MessageOptions, deps: CleanupDeps): MilterPass | undefined {
  const { milters } = options;
  const { otherMilters, params } = deps;
  if (milters) return (input) => passMilters(input, { ...stageDeps(options, deps), milters });
  if (!otherMilters) return undefined;
  const stage = stageDeps(options, deps);
  const mappings = deps.mapping?.mappings;
  const canonical = (one: Address) => mappings?.map(one, "envelope_recipient", stage.warn) ?? one;
  return (input) => passUntold(input, { ...stage, otherMilters, options, params, canonical });
}

function stageDeps(options: MessageOptions, deps: CleanupDeps): Omit<MilterStageDeps, "milters"> {
  const { envelope, recipients } = options;
  const { params, store, log, milterChecks } = deps;
  const warn = (text: string) => log.warning(printableUtf8(`${envelope.queueId}: ${text}`));
  return {
    ...{ store, log, envelope, warn, checks: milterChecks },
    recipient: recipients.at(-1)?.address,
    bodyLimit: params.get("message_size_limit"),
    byOriginal: params.get("enable_original_recipient"),
    ...mapped(deps, warn),
  };
}

function mapped({ mapping }: CleanupDeps, warn: (text: string) => void) {
  const { mappings, rewrite = (address: Address) => address } = mapping ?? {};
  return {
    mapSender: async (address: Address) => {
      const canonical = address === "" ? address : rewrite(address);
      return mappings ? mappings.map(canonical, "envelope_sender", warn) : canonical;
    },
    mapRecipient: async (address: Address) => {
      const canonical = rewrite(address);
      return mappings ? mappings.expand(await mappings.map(canonical, "envelope_recipient", warn)) : [canonical];
    },
  };
}
