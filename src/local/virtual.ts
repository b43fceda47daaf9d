/** local/virtual.ts: the virtual agent (virtual(8)): mail for addresses of virtual mailbox domains, into the maildirs that tables name.
 *  It never changes its user id: a mailbox that virtual_uid_maps gives to another user waits, with the reason in the log. */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, domainOf, formatAddress, localPartOf } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRecipient, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { lookupTables, mailAddrFindKeys } from "../tables/keys.ts";
import type { LookupTable } from "../tables/table.ts";
import { readHeader, wasDeliveredTo } from "./header-block.ts";
import { mailboxHead } from "./mailbox-head.ts";
import { writeToMaildir } from "./maildir.ts";
import { bounced, deferred, failed, type Result, sent, unknownUser } from "./result.ts";

export interface VirtualAgentOptions {
  readonly params: Parameters;
  readonly clock: Clock;
  /** Tables of virtual_mailbox_maps, virtual_uid_maps, virtual_gid_maps. */
  readonly tables: {
    readonly mailboxes: readonly LookupTable[];
    readonly uids: readonly LookupTable[];
    readonly gids: readonly LookupTable[];
  };
  /** The user that this process is. */
  readonly uid: number;
  /** A name for a file in a maildir that no other has. */
  readonly nextFileName: () => string;
  /** Takes warnings for the log. */
  readonly warn: (text: string) => void;
}

/** One agent for each worker and configuration generation. */
export function createVirtualAgent(options: VirtualAgentOptions): DeliveryAgent {
  return {
    probes: true,
    async deliver(request, signal) {
      const header = request.probe ? "" : await readHeader(request.content).catch(() => undefined);
      const outcomes: RcptOutcome[] = [];
      for (const recipient of request.recipients) {
        const started = options.clock.monotonic();
        const run = deliverOne(recipient, { request, signal, header, options });
        const result = await run.catch((error) => failed(error, signal));
        const transmitMs = options.clock.monotonic() - started;
        outcomes.push({ recipientId: recipient.id, relay: "virtual", connectMs: 0, transmitMs, ...result });
      }
      return outcomes;
    },
    async close() {},
  };
}

interface Context {
  readonly request: DeliveryRequest;
  readonly signal: AbortSignal;
  /** undefined: the message cannot be read. */
  readonly header: string | undefined;
  readonly options: VirtualAgentOptions;
}

async function deliverOne(recipient: DeliveryRecipient, context: Context): Promise<Result> {
  const { request, signal, header, options } = context;
  const { address } = recipient;
  if (header === undefined) return deferred("4.3.0", "the message cannot be read");
  if (wasDeliveredTo(header, formatAddress(address))) {
    return bounced("5.4.6", `mail forwarding loop for ${printableUtf8(address)}`);
  }
  const { params, tables } = options;
  const key = asAddress(address.toLowerCase());
  const find = (list: readonly LookupTable[]) => lookup(list, key, params.text("recipient_delimiter"));
  const mailbox = await find(tables.mailboxes);
  if (mailbox === undefined) return unknownUser(address.toLowerCase());
  const path = mailboxPath(mailbox, params);
  const ids = { uid: await find(tables.uids), gid: await find(tables.gids) };
  const problem = typeof path === "string" ? ownershipProblem(ids, options) : path.problem;
  if (problem !== undefined) {
    options.warn(`${request.envelope.queueId}: recipient ${printableUtf8(address)}: ${problem}`);
    return deferred("4.3.5", "mail system configuration error");
  }
  if (request.probe) return sent("delivers to maildir");
  const limit = params.get("virtual_mailbox_limit");
  if (limit > 0 && request.content.sizeBytes > limit) {
    return bounced("5.2.2", "maildir delivery failed: message is larger than virtual_mailbox_limit");
  }
  const deliveredTo = params.get("prepend_delivered_header").includes("file");
  const head = mailboxHead(request.envelope.sender, recipient, { deliveredTo });
  const fileName = options.nextFileName();
  await writeToMaildir({ directory: String(path), fileName, head, content: request.content }, signal);
  return sent("delivered to maildir");
}

/** user+ext@dom, user@dom, @dom. Rejects TableError. */
async function lookup(tables: readonly LookupTable[], key: Address, delimiter: string): Promise<string | undefined> {
  if (domainOf(key) === undefined || localPartOf(key) === "") return undefined;
  return (await lookupTables(tables, mailAddrFindKeys(key, { delimiter })))?.value;
}

/** Of a maildir under virtual_mailbox_base. */
function mailboxPath(value: string, params: Parameters): string | { readonly problem: string } {
  const base = params.get("virtual_mailbox_base");
  const path = base === "" ? value : `${base}/${value}`;
  const shown = printableUtf8(path);
  if (!path.startsWith("/")) return { problem: `mailbox ${shown} is not absolute: set virtual_mailbox_base` };
  // What a pattern took from the address must not lead out of the base.
  if (/(?:^|\/)\.\.(?:\/|$)|\0/.test(path)) return { problem: `mailbox ${shown} leads upwards` };
  if (!path.endsWith("/")) return { problem: `mailbox ${shown} is no maildir: its name must end in /` };
  return join(path);
}

function ownershipProblem(
  { uid, gid }: { readonly uid: string | undefined; readonly gid: string | undefined },
  { params, uid: own }: VirtualAgentOptions,
): string | undefined {
  if (uid === undefined) return "not found in virtual_uid_maps";
  if (!/^\d{1,10}$/.test(uid) || Number(uid) < params.get("virtual_minimum_uid")) {
    return `bad uid ${printableUtf8(uid)} in virtual_uid_maps`;
  }
  if (gid === undefined) return "not found in virtual_gid_maps";
  if (!/^[1-9]\d{0,9}$/.test(gid)) return `bad gid ${printableUtf8(gid)} in virtual_gid_maps`;
  if (Number(uid) === own) return undefined;
  return `virtual_uid_maps says ${uid}, but mail is written by uid ${own} only: give the mailboxes to mail_owner, or deliver by lmtp or pipe`;
}
