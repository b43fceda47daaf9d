import { createBounceComposer } from "../bounce/compose.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import { createResolver } from "../rewrite/create.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { Smtpd } from "../smtpd/options.ts";
import { createTableOpener } from "../tables/open.ts";
import { buildAgents } from "./agents.ts";
import { bounceTemplates } from "./bounce-templates.ts";
import type { WorkerKit } from "./kit.ts";
import { buildService } from "./service.ts";
import { SnapshotFiles } from "./snapshot-files.ts";
import { tableSettings } from "./table-settings.ts";

export interface Generation {
  readonly snapshot: ConfigSnapshot;
  readonly params: Parameters;
  readonly resolver: AddressResolver;
  readonly bounces: ReturnType<typeof createBounceComposer>;
  /** By service name of master.cf. */
  readonly smtpds: ReadonlyMap<string, Smtpd>;
  /** By transport name. */
  readonly agents: ReadonlyMap<string, DeliveryAgent>;
  readonly files: SnapshotFiles;
  /** Releases tables, backends and cached connections once the last session has ended. */
  close(): Promise<void>;
}

export interface BuiltGeneration {
  readonly generation: Generation;
  readonly problems: readonly Problem[];
}

/** Throws ParameterError for what check should have found; table errors become run-time 451s. */
export function buildGeneration(snapshot: ConfigSnapshot, kit: WorkerKit): BuiltGeneration {
  const params = scopeOf(snapshot);
  const files = new SnapshotFiles(snapshot.files);
  const log = kit.logFor(`${params.get("syslog_name")}/worker`);
  const tables = createTableOpener({
    files,
    log,
    clock: kit.clock,
    ...tableSettings(snapshot),
  });
  const problems: Problem[] = [];
  const smtpds = new Map<string, Smtpd>();
  const closers: (() => Promise<void>)[] = [];
  for (const service of snapshot.services) {
    if (service.type !== "inet" || (service.command !== "smtpd" && service.command !== "postscreen")) continue;
    const built = buildService({ snapshot, service, tables, files, kit });
    problems.push(...built.problems);
    smtpds.set(service.name, built.smtpd);
    closers.push(built.close);
  }
  const agents = buildAgents({ snapshot, tables, kit });
  const resolver = createResolver(params, { tables, ownAddresses: kit.ownAddresses });
  const { templates } = bounceTemplates(params, files, snapshot.configDirectory);
  const generation: Generation = {
    snapshot,
    params,
    resolver,
    bounces: createBounceComposer({
      params,
      clock: kit.clock,
      templates,
      rewrite: (address) => resolver.rewrite(address),
    }),
    smtpds,
    agents,
    files,
    async close() {
      for (const close of closers) await close();
      for (const agent of agents.values()) await agent.close();
      await tables.close?.();
    },
  };
  return { generation, problems };
}
