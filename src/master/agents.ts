/** master/agents.ts: the delivery agents of master.cf's transports. Transports that every Postfix has are there without a
 *  line, so that a master.cf with inet services only can deliver. */
import { readFileSync } from "node:fs";
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { createDiscardAgent } from "../local/discard.ts";
import { createErrorAgent } from "../local/error.ts";
import { createLocalAgent } from "../local/local.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import { createResolver } from "../rewrite/create.ts";
import { openAliases } from "../rewrite/recipients.ts";
import { createSmtpAgent } from "../smtp/create.ts";
import type { TableOpener } from "../tables/table.ts";
import type { WorkerKit } from "./kit.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import { transportTlsFiles } from "./transport-tls.ts";

export interface AgentsInput {
  readonly snapshot: ConfigSnapshot;
  readonly tables: TableOpener;
  readonly files: SnapshotFiles;
  readonly kit: WorkerKit;
}

/** Transport name → program, where master.cf is silent. */
const BUILT_IN: ReadonlyMap<string, string> = new Map([
  ["smtp", "smtp"],
  ["relay", "smtp"],
  ["lmtp", "lmtp"],
  ["local", "local"],
  ["discard", "discard"],
  ["error", "error"],
  ["retry", "retry"],
]);

/** By transport name. Programs that have no agent here are left out; their mail is deferred with that reason. */
export function buildAgents(input: AgentsInput): ReadonlyMap<string, DeliveryAgent> {
  const agents = new Map<string, DeliveryAgent>();
  for (const [name, program] of BUILT_IN) add(agents, name, makeAgent(program, undefined, input));
  for (const service of input.snapshot.services) {
    if (service.type !== "unix") continue;
    const program = service.name === "retry" && service.command === "error" ? "retry" : service.command;
    add(agents, service.name, makeAgent(program, service, input));
  }
  return agents;
}

function add(agents: Map<string, DeliveryAgent>, name: string, agent: DeliveryAgent | undefined): void {
  if (agent) agents.set(name, agent);
}

function makeAgent(program: string, service: ServiceEntry | undefined, input: AgentsInput): DeliveryAgent | undefined {
  const { kit, tables, snapshot, files } = input;
  const params = scopeOf(snapshot, service);
  switch (program) {
    case "smtp":
    case "lmtp":
      return createSmtpAgent({
        params,
        dns: kit.dns,
        tables,
        clock: kit.clock,
        deadlines: kit.deadlines,
        log: kit.logFor(`${params.get("syslog_name")}/${program}`),
        myAddresses: kit.ownAddresses,
        tlsFiles: transportTlsFiles(params, snapshot, files),
        protocol: program,
      });
    case "local":
      return createLocalAgent({
        params,
        clock: kit.clock,
        hostname: kit.hostname,
        pid: kit.pid,
        passwd: readPasswd,
        resolver: createResolver(params, { tables, ownAddresses: kit.ownAddresses }),
        aliases: openAliases(params, tables),
      });
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

function readPasswd(): string {
  return readFileSync("/etc/passwd", "latin1");
}
