/** local/local.ts: the local agent (local(8)): aliases, .forward files, other transports, maildirs. Runs no commands, writes no mbox
 *  files, and never changes its user id, so the server's user must be able to read and write what it needs. */
import { asAddress, formatAddress, localPartOf } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRecipient, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { deliverToCommand } from "./alias-command.ts";
import { expandAlias, type Leaf } from "./expansion.ts";
import { wasDeliveredTo } from "./header-block.ts";
import { deliverLeaves } from "./leaves.ts";
import { beginDelivery, type LocalAgentOptions, type LocalDelivery } from "./local-delivery.ts";
import { parsePasswd } from "./passwd.ts";
import { bounced, deferred, failed, type Result, sent } from "./result.ts";
import { deliverToUser } from "./user.ts";

/** One agent for each worker and configuration generation. */
export function createLocalAgent(options: LocalAgentOptions): DeliveryAgent {
  const users = memoLast(parsePasswd);
  const { nextFileName } = options;
  return {
    probes: true,
    async deliver(request, signal) {
      const delivery = beginDelivery(request, signal, {
        options,
        nextFileName,
        userNamed: (name) => users(options.passwd()).get(name),
      });
      const outcomes: RcptOutcome[] = [];
      for (const recipient of request.recipients) {
        const started = options.clock.monotonic();
        const result = await deliverOne(delivery, recipient).catch((error) => failed(error, signal));
        const transmitMs = options.clock.monotonic() - started;
        outcomes.push({ recipientId: recipient.id, relay: "local", connectMs: 0, transmitMs, ...result });
      }
      return outcomes;
    },
    async close() {},
  };
}

async function deliverOne(delivery: LocalDelivery, recipient: DeliveryRecipient): Promise<Result> {
  const { request, expansion: options } = delivery;
  const { address } = recipient;
  if (localPartOf(address) === "") return bounced("5.1.3", `null username in "${printableUtf8(address)}"`);
  if (request.probe !== true && wasDeliveredTo(await delivery.header(), formatAddress(address))) {
    return bounced("5.4.6", `mail forwarding loop for ${printableUtf8(address)}`);
  }
  if (address.startsWith("\\")) {
    return deliverToUser(delivery, recipient, { address: asAddress(address.slice(1)), kind: "mailbox" });
  }
  const expansion = await expandAlias(address, options);
  if (expansion.kind === "noAlias") return deliverToUser(delivery, recipient, { address, kind: "local" });
  if (expansion.kind === "undecided") {
    delivery.warn(expansion.log);
    return deferred(expansion.dsn, expansion.text);
  }
  if (request.probe) return sent(`aliased to ${printableUtf8(expansion.value)}`);
  return deliverLeaves(delivery, recipient, {
    expansion,
    direct: (leaf, { alone }) => {
      const { command } = leaf;
      if (command) return () => deliverToCommand(delivery, recipient, command);
      return leaf.kind === "self" || leaf.kind === "mailbox" || (alone && mayGoDirectly(leaf))
        ? () => deliverToUser(delivery, recipient, leaf)
        : undefined;
    },
  });
}

/** A local user who is all that an alias leads to gets the mail at once; a list has its own status for each member. */
function mayGoDirectly({ kind, owner, included }: Leaf): boolean {
  return kind === "local" && owner === undefined && !included;
}

/** Keeps the last result: the passwd text is the same object until the file changes. */
function memoLast<T>(parse: (text: string) => T): (text: string) => T {
  let last: { readonly text: string; readonly value: T } | undefined;
  return (text) => {
    if (last?.text !== text) last = { text, value: parse(text) };
    return last.value;
  };
}
