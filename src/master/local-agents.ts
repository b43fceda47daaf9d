/** master/local-agents.ts: makes the agents that deliver on this machine, of what a worker and a configuration have. */
import { readFileSync } from "node:fs";
import { bodyLimits } from "../cleanup/reencode.ts";
import { ParameterError } from "../config/declare.ts";
import type { Parameters } from "../config/parameters.ts";
import { parsePipeCommand } from "../config/pipe-command.ts";
import type { ServiceEntry } from "../config/snapshot.ts";
import { withoutSubstitution } from "../local/alias-tables.ts";
import { withoutBinary } from "../local/binary-mail.ts";
import { createLocalAgent } from "../local/local.ts";
import { createPipeAgent } from "../local/pipe.ts";
import { createVirtualAgent } from "../local/virtual.ts";
import type { Address } from "../mail/address.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { createResolver } from "../rewrite/create.ts";
import { openAliases } from "../rewrite/recipients.ts";
import type { TableOpener } from "../tables/table.ts";
import { filteredAgent } from "./filtered-agent.ts";
import type { WorkerKit } from "./kit.ts";

export interface LocalAgentsInput {
  readonly tables: TableOpener;
  readonly kit: WorkerKit;
  /** Where mail to an address that an alias names goes. Rejects MappingError. */
  readonly mapRecipient: (address: Address) => Promise<readonly Address[]>;
  /** The agents, once all are made. */
  readonly agentOf: (transport: string) => DeliveryAgent | undefined;
}

/** undefined: the service cannot be read, which check has reported. */
export function makeAgentHere(
  program: "local" | "virtual" | "pipe",
  { params, service }: { readonly params: Parameters; readonly service: ServiceEntry | undefined },
  input: LocalAgentsInput,
): DeliveryAgent | undefined {
  const agent = { local: makeLocalAgent, virtual: makeVirtualAgent, pipe: makePipeAgent }[program](
    params,
    input,
    service,
  );
  const log = input.kit.logFor(`${params.get("syslog_name")}/${program}`);
  const refs = params.get(`${program}_delivery_status_filter`);
  return agent && filteredAgent(withoutBinary(agent, bodyLimits(params)), { refs, tables: input.tables, log });
}

function makeLocalAgent(params: Parameters, input: LocalAgentsInput): DeliveryAgent {
  const { kit, tables, mapRecipient, agentOf } = input;
  const open = (refs: readonly string[]) => refs.map((ref) => tables.open(ref));
  const log = kit.logFor(`${params.get("syslog_name")}/local`);
  return createLocalAgent({
    ...{ params, mapRecipient, agentOf },
    clock: kit.clock,
    nextFileName: kit.nextMaildirName,
    passwd: readPasswd,
    resolver: createResolver(params, { tables, ownAddresses: kit.ownAddresses }),
    tables: {
      aliases: openAliases(params, tables).map(withoutSubstitution),
      mailboxTransports: open(params.get("mailbox_transport_maps")),
      fallbackTransports: open(params.get("fallback_transport_maps")),
    },
    nextQueueId: kit.nextQueueId,
    pipes: kit.pipes,
    warn: (text) => log.warning(printableUtf8(text)),
  });
}

function makeVirtualAgent(params: Parameters, { kit, tables }: LocalAgentsInput): DeliveryAgent {
  const open = (refs: readonly string[]) => refs.map((ref) => tables.open(ref));
  const log = kit.logFor(`${params.get("syslog_name")}/virtual`);
  return createVirtualAgent({
    params,
    clock: kit.clock,
    tables: {
      mailboxes: open(params.get("virtual_mailbox_maps")),
      uids: open(params.get("virtual_uid_maps")),
      gids: open(params.get("virtual_gid_maps")),
    },
    uid: process.getuid?.() ?? 0,
    nextFileName: kit.nextMaildirName,
    warn: (text) => log.warning(printableUtf8(text)),
  });
}

/** undefined: the service cannot be read, which check has reported. */
function makePipeAgent(
  _params: Parameters,
  { kit }: LocalAgentsInput,
  service: ServiceEntry | undefined,
): DeliveryAgent | undefined {
  if (!service) return undefined;
  try {
    const command = parsePipeCommand(service);
    return createPipeAgent({ service: service.name, command, clock: kit.clock, ...kit.pipes });
  } catch (error) {
    if (error instanceof ParameterError) return undefined;
    throw error;
  }
}

function readPasswd(): string {
  return readFileSync("/etc/passwd", "latin1");
}
