/** master/agents.ts: the delivery agents of master.cf's transports. Transports that every Postfix has are there without a
 *  line, so that a master.cf with inet services only can deliver. */
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { createDiscardAgent } from "../local/discard.ts";
import { createErrorAgent } from "../local/error.ts";
import { createRequeueAgent } from "../local/requeue.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import { REQUEUE_TRANSPORT } from "../qmgr/lane-map.ts";
import { createSmtpAgent } from "../smtp/create.ts";
import { queueDirectories } from "./directories.ts";
import { type LocalAgentsInput, makeAgentHere } from "./local-agents.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import { transportTlsFiles } from "./transport-tls.ts";

export interface AgentsInput extends Omit<LocalAgentsInput, "agentOf"> {
  readonly snapshot: ConfigSnapshot;
  readonly files: SnapshotFiles;
}

/** Transport name → program, where master.cf is silent. */
export const BUILT_IN_TRANSPORTS: ReadonlyMap<string, string> = new Map([
  ["smtp", "smtp"],
  ["relay", "smtp"],
  ["lmtp", "lmtp"],
  ["local", "local"],
  ["virtual", "virtual"],
  ["discard", "discard"],
  ["error", "error"],
  ["retry", "retry"],
]);

/** By transport name. Programs that have no agent here are left out; their mail is deferred with that reason. */
export function buildAgents(input: AgentsInput): ReadonlyMap<string, DeliveryAgent> {
  const agents = new Map<string, DeliveryAgent>();
  const locals = new Set(["local", ...namesOf("local", input.snapshot)]);
  const agentOf = (transport: string) => (locals.has(transport) ? undefined : agents.get(transport));
  for (const [name, program] of BUILT_IN_TRANSPORTS)
    add(agents, name, makeAgent(program, undefined, { ...input, agentOf }));
  for (const service of input.snapshot.services) {
    if (service.type !== "unix") continue;
    const program = service.name === "retry" && service.command === "error" ? "retry" : service.command;
    add(agents, service.name, makeAgent(program, service, { ...input, agentOf }));
  }
  const { mapRecipient, kit } = input;
  agents.set(REQUEUE_TRANSPORT, createRequeueAgent({ mapRecipient, nextQueueId: kit.nextQueueId }));
  return agents;
}

function namesOf(program: string, { services }: ConfigSnapshot): readonly string[] {
  return services.filter(({ type, command }) => type === "unix" && command === program).map(({ name }) => name);
}

function add(agents: Map<string, DeliveryAgent>, name: string, agent: DeliveryAgent | undefined): void {
  if (agent) agents.set(name, agent);
}

function makeAgent(
  program: string,
  service: ServiceEntry | undefined,
  input: AgentsInput & LocalAgentsInput,
): DeliveryAgent | undefined {
  const { kit, tables, snapshot, files } = input;
  const params = scopeOf(snapshot, service);
  switch (program) {
    case "smtp":
    case "lmtp":
      return createSmtpAgent({
        params,
        dns: params.get(`${program}_dns_support_level`) === "dnssec" ? (kit.validatingDns ?? kit.dns) : kit.dns,
        tables,
        clock: kit.clock,
        deadlines: kit.deadlines,
        log: kit.logFor(`${params.get("syslog_name")}/${program}`),
        myAddresses: kit.ownAddresses,
        tlsFiles: transportTlsFiles(params, snapshot, files),
        tally: kit.tally,
        mtaSts: { directory: queueDirectories(params).mtaSts },
        protocol: program,
      });
    case "local":
    case "virtual":
    case "pipe":
      return makeAgentHere(program, { params, service }, input);
    case "discard":
      return createDiscardAgent();
    case "error":
      return createErrorAgent({ soft: false });
    case "retry":
      return createErrorAgent({ soft: true });
    default:
      return undefined;
  }
}
