/** cleanup/untold-session.ts: mail that did not come by SMTP before its Milters: they are told of a session that there was not, by ESMTP
 *  from localhost (cleanup_milter.c, cleanup_milter_emul_mail and following), then of the message. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import { reply } from "../mail/reply.ts";
import type { Answer } from "../milter/answer.ts";
import type { MacroLookup } from "../milter/filter.ts";
import type { MilterSession, Milters } from "../milter/milters.ts";
import type { MessageOptions } from "./cleanup.ts";
import { logMilterAction } from "./milter-log.ts";
import { type MilterInput, type MilterOutput, type MilterStageDeps, passMilters } from "./milter-stage.ts";

export interface UntoldDeps extends Omit<MilterStageDeps, "milters"> {
  readonly otherMilters: Milters;
  readonly options: MessageOptions;
  readonly params: Parameters;
  /** A recipient before its aliases are looked up. May reject MappingError. */
  readonly canonical: (recipient: Address) => Awaitable<Address>;
}

const CLIENT = { name: "localhost", address: "127.0.0.1", port: 0 } as const;

/** Who is spoken of at the moment, for macros. */
interface Told {
  mail?: string;
  rcpt?: string;
  /** The last one, for log lines. */
  recipient?: Address;
}

/** Rejects QueueError and MappingError. */
export async function passUntold(input: MilterInput, deps: UntoldDeps): Promise<MilterOutput> {
  const told: Told = {};
  const milters = await deps.otherMilters.newSession(macrosOf(told, deps), deps.log, CLIENT.address);
  if (!milters) return unchanged(input);
  try {
    const said = await tell(milters, told, { input, deps });
    if (said.kind === "refuse") return { ...unchanged(input), refusal: said.reply };
    if (said.kind === "discard") return { ...unchanged(input), discard: true };
    const out = await passMilters(input, { ...deps, milters, recipient: told.recipient });
    return { ...out, hold: out.hold || said.kind === "hold" };
  } finally {
    milters.quit();
  }
}

function unchanged({ fields, mapped }: MilterInput): MilterOutput {
  return { fields, mapped, hold: false, discard: false, refusal: undefined, filter: undefined, redirect: undefined };
}

/** The first answer that decides, logged. */
async function tell(
  milters: MilterSession,
  told: Told,
  { input, deps }: { readonly input: MilterInput; readonly deps: UntoldDeps },
): Promise<Answer> {
  const { recipients } = deps.options;
  const heard = (stage: string, answer: Answer): boolean => {
    logMilterAction(stage, answer, { ...deps, recipient: told.recipient });
    return answer.kind === "refuse" || answer.kind === "discard";
  };
  let answer = await milters.connect(CLIENT);
  if (heard("CONNECT", answer)) return answer;
  answer = await milters.helo(CLIENT.name);
  if (heard("EHLO", answer)) return answer;
  told.mail = external(input.mapped.sender);
  answer = await milters.mail([told.mail]);
  if (heard("MAIL", answer)) return answer;
  for (const recipient of recipients) {
    told.recipient = await deps.canonical(recipient.address);
    told.rcpt = external(told.recipient);
    answer = await milters.rcpt([told.rcpt]);
    if (!heard("RCPT", answer)) continue;
    return answer.kind === "refuse" ? refusedRecipient(deps) : answer;
  }
  answer = await milters.data();
  heard("DATA", answer);
  return answer;
}

/** A message of several recipients cannot be refused to one of them when nobody waits for the answer. */
function refusedRecipient({ warn }: UntoldDeps): Answer {
  warn("milter configuration error: can't reject recipient in non-smtpd(8) submission");
  warn("message not accepted, try again later");
  return { kind: "refuse", reply: reply(451, "4.3.5", "Server configuration error") };
}

/** As in Postfix, without brackets. */
function external(address: Address): string {
  return address === "" ? "" : formatAddress(address);
}

/** Those that there are without a client. */
function macrosOf(told: Told, { options, params }: UntoldDeps): MacroLookup {
  const { saslMethod, saslUsername, saslSender } = options.envelope.origin;
  return (name) => {
    switch (name) {
      case "j":
        return params.get("myhostname");
      case "i":
        return options.envelope.queueId;
      case "v":
        return params.get("milter_macro_v");
      case "_":
        return `${CLIENT.name} [${CLIENT.address}]`;
      case "daemon_name":
        return params.get("milter_macro_daemon_name");
      case "client_name":
      case "client_ptr":
        return CLIENT.name;
      case "client_addr":
      case "daemon_addr":
        return CLIENT.address;
      case "client_port":
      case "daemon_port":
        return "0";
      case "auth_type":
        return saslMethod;
      case "auth_authen":
        return saslUsername;
      case "auth_author":
        return saslSender;
      case "mail_addr":
        return told.mail;
      case "rcpt_addr":
        return told.rcpt;
      default:
        return undefined;
    }
  };
}
