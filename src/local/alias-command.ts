/** local/alias-command.ts: `|command` as all that an alias leads to, where allow_mail_to_commands allows it: as whom it runs is the
 *  master's business, what is run stands in the alias table that the master reads itself. No shell. */
import type { PipeCommand } from "../config/pipe-command.ts";
import type { DeliveryRecipient } from "../mail/delivery.ts";
import type { AliasCommand } from "./expansion.ts";
import type { LocalDelivery } from "./local-delivery.ts";
import { createPipeAgent } from "./pipe.ts";
import { deferred, type Result } from "./result.ts";

/** Characters that mean nothing to a shell, and make no macro; Postfix runs other commands with one (exec_command(3postfix)). */
const PLAIN = /^[\w!@%\-=+:,./ ]+$/;

/** How the master knows the command of an alias; no service has such a name. */
export function aliasService(alias: string): string {
  return `alias:${alias}`;
}

/** As local(8) gives mail to commands. undefined: it would take a shell. */
export function pipeCommandOf(
  text: string,
  { deliveredTo }: { readonly deliveredTo: boolean },
): PipeCommand | undefined {
  const [program, ...args] = PLAIN.test(text) ? text.split(" ").filter(Boolean) : [];
  if (program === undefined || !program.startsWith("/")) return undefined;
  return {
    ...{ user: "", group: undefined, argv: [program, ...args], directory: "", eol: "\n", nullSender: "" },
    ...{ sizeLimit: Number.POSITIVE_INFINITY, unknownFlags: [] },
    flags: new Set(deliveredTo ? "FROXD" : "FROX"),
  };
}

/** The alias leads to nothing else. */
export async function deliverToCommand(
  { options, request, signal, warn }: LocalDelivery,
  recipient: DeliveryRecipient,
  { alias, text }: AliasCommand,
): Promise<Result> {
  const { params, clock, pipes } = options;
  const deliveredTo = params.get("prepend_delivered_header").includes("command");
  const command = pipeCommandOf(text, { deliveredTo });
  if (!command) {
    warn(`alias ${alias}: "|${text}" needs a shell, or is no absolute path`);
    return deferred("4.3.5", "mail system configuration error");
  }
  const told = { command: text, done: `delivered to command: ${text}`, quiet: true };
  const agent = createPipeAgent({ service: aliasService(alias), command, clock, told, ...pipes });
  const [outcome] = await agent.deliver({ ...request, recipients: [recipient] }, signal);
  if (!outcome) return deferred("4.3.0", "unknown mail transport error");
  const { recipientId: _id, ...result } = outcome;
  return { ...result, relay: "local" };
}
