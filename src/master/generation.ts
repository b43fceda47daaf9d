/** master/generation.ts: all that a worker has for one configuration: services, transports, tables. */
import { createBounceComposer } from "../bounce/compose.ts";
import { createContentChecks, createMilterChecks } from "../cleanup/content-checks.ts";
import { inspectReport } from "../cleanup/inspect-report.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { createSigner } from "../dkim/create.ts";
import { signWhole } from "../dkim/sign-whole.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { ComposedMessage, DeliveryAgent } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { createOtherMilters } from "../milter/milters.ts";
import type { PickupService } from "../pickup/service.ts";
import { createResolver } from "../rewrite/create.ts";
import { type AddressMappings, createMappings } from "../rewrite/mappings.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { createTableOpener } from "../tables/open.ts";
import type { TableOpener } from "../tables/table.ts";
import { createVerification } from "../verify/create.ts";
import { mappingOf } from "./address-mapping.ts";
import { buildAgents } from "./agents.ts";
import { bounceTemplates } from "./bounce-templates.ts";
import type { WorkerKit } from "./kit.ts";
import { createLogTags } from "./log-tags.ts";
import { buildPickupService } from "./pickup-service.ts";
import { buildSmtpServices, type SmtpServices } from "./smtp-services.ts";
import { SnapshotFiles } from "./snapshot-files.ts";
import { tableSettings } from "./table-settings.ts";
import { createUserRights, type UserRights } from "./user-rights.ts";

export interface Generation {
  readonly snapshot: ConfigSnapshot;
  readonly params: Parameters;
  readonly resolver: AddressResolver;
  readonly bounces: ReturnType<typeof createBounceComposer>;
  readonly smtp: SmtpServices;
  readonly pickup: PickupService;
  readonly rights: UserRights;
  /** By transport name. */
  readonly agents: ReadonlyMap<string, DeliveryAgent>;
  /** Syslog tag of a transport or program. */
  readonly logTag: (name: string) => string;
  readonly files: SnapshotFiles;
  /** Releases tables, backends and cached connections once the last session has ended. */
  close(): Promise<void>;
}

/** Reports and forwarded mail are mapped as mail from clients is, but nobody gets copies of them. */
function recipientMapping(mappings: AddressMappings, log: Log): (address: Address) => Promise<readonly Address[]> {
  return async (address) =>
    mappings.expand(await mappings.map(address, "envelope_recipient", (text) => log.warning(printableUtf8(text))));
}

/** Reports are this site's own mail. */
function reportSigner(params: Parameters, files: SnapshotFiles, kit: WorkerKit) {
  const log = kit.logFor(`${params.get("syslog_name")}/bounce`);
  const signer = createSigner(params, { files, clock: kit.clock, log });
  if (signer === undefined) return undefined;
  const warn = (reason: string) => log.warning(printableUtf8(`cannot sign a report: ${reason}`));
  return (content: Uint8Array) => signWhole(signer, content, warn);
}

/** undefined: reports are not inspected, which is the default; or nothing is there to inspect them. */
function reportInspection(params: Parameters, parts: ReportParts) {
  if (!params.get("internal_mail_filter_classes").includes("bounce")) return undefined;
  const { kit, tables, resolver } = parts;
  const deps = {
    ...{ params, log: kit.logFor(`${params.get("syslog_name")}/cleanup`) },
    checks: createContentChecks(params, tables),
    milterChecks: createMilterChecks(params, tables),
    otherMilters: createOtherMilters(params, { deadlines: kit.deadlines }),
    ...mappingOf(params, { tables, resolver }),
  };
  if (deps.checks === undefined && deps.otherMilters === undefined) return undefined;
  return (report: ComposedMessage) => inspectReport(report, deps);
}

interface ReportParts {
  readonly kit: WorkerKit;
  readonly tables: TableOpener;
  readonly resolver: AddressResolver;
}

/** Throws ParameterError for what check should have found; table errors become run-time 451s. */
export function buildGeneration(snapshot: ConfigSnapshot, kit: WorkerKit): Generation {
  const params = scopeOf(snapshot);
  const files = new SnapshotFiles(snapshot.files);
  const log = kit.logFor(`${params.get("syslog_name")}/worker`);
  const tables = createTableOpener({
    files,
    log,
    clock: kit.clock,
    ...tableSettings(snapshot),
  });
  const resolver = createResolver(params, { tables, ownAddresses: kit.ownAddresses });
  const mapRecipient = recipientMapping(createMappings(params, { tables, resolver }), log);
  const agents = buildAgents({ snapshot, tables, files, kit, mapRecipient });
  const logTag = createLogTags(snapshot);
  const prober = createVerification({
    ...{ snapshot, tables, ownAddresses: kit.ownAddresses, cache: kit.addressCache, clock: kit.clock },
    agent: (transport) => agents.get(transport),
    nextQueueId: kit.nextQueueId,
    logFor: (program) => kit.logFor(logTag(program)),
  });
  const smtp = buildSmtpServices({ snapshot, tables, files, kit, prober });
  const { templates } = bounceTemplates(params, files, snapshot.configDirectory);
  return {
    snapshot,
    params,
    resolver,
    bounces: createBounceComposer({
      params,
      clock: kit.clock,
      templates,
      rewrite: (address) => resolver.rewrite(address),
      expand: mapRecipient,
      inspect: reportInspection(params, { kit, tables, resolver }),
      sign: reportSigner(params, files, kit),
    }),
    smtp,
    pickup: buildPickupService({ snapshot, tables, files, kit }),
    rights: createUserRights(params, tables),
    agents,
    logTag,
    files,
    async close() {
      prober.close();
      await smtp.close();
      for (const agent of agents.values()) await agent.close();
      await tables.close?.();
    },
  };
}
