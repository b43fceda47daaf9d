/** master/pickup-service.ts: wires the pickup service: cleanup and rewriting under the `-o` of its master.cf line, which need not
 *  be there; and the Pickup of a worker, which asks the configuration of the moment. */
import { join, resolve as resolvePath } from "node:path";
import { createContentChecks, createMilterChecks } from "../cleanup/content-checks.ts";
import { createCleanup } from "../cleanup/create.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { createSigner } from "../dkim/create.ts";
import { createOtherMilters } from "../milter/milters.ts";
import { Pickup } from "../pickup/pickup.ts";
import type { PickupService } from "../pickup/service.ts";
import { compileUserList } from "../pickup/user-list.ts";
import type { QueueStore } from "../queue/store.ts";
import { createResolver } from "../rewrite/create.ts";
import type { FileSource, TableOpener } from "../tables/table.ts";
import { readAccountFiles, userWith } from "./accounts.ts";
import { mappingOf } from "./address-mapping.ts";
import type { WorkerKit } from "./kit.ts";

/** Seconds between two looks where master.cf does not say, as in Postfix's own. */
const DEFAULT_WAKEUP_S = 60;

export interface PickupServiceInput {
  readonly snapshot: ConfigSnapshot;
  readonly tables: TableOpener;
  readonly files: FileSource;
  readonly kit: WorkerKit;
}

export function buildPickupService({ snapshot, tables, files, kit }: PickupServiceInput): PickupService {
  const params = scopeOf(snapshot, pickupLine(snapshot));
  const syslogName = params.get("syslog_name");
  const resolver = createResolver(params, { tables, ownAddresses: kit.ownAddresses });
  // As in Postfix, where cleanup is a service of its own: the syslog_name of main.cf.
  const log = kit.logFor(`${scopeOf(snapshot).get("syslog_name")}/cleanup`);
  const parts = {
    ...{ params, log, checks: createContentChecks(params, tables) },
    milterChecks: createMilterChecks(params, tables),
    otherMilters: createOtherMilters(params, { deadlines: kit.deadlines }),
    signer: createSigner(params, { files, clock: kit.clock, log }),
    ...mappingOf(params, { tables, resolver }),
    ...kit.queue,
  };
  return {
    params,
    log: kit.logFor(`${syslogName}/pickup`),
    rewrite: (address) => resolver.rewrite(address),
    submitters: compileUserList(params.get("authorized_submit_users"), tables),
    cleanup: (arrived) => createCleanup({ ...parts, arrived }),
  };
}

/** How long after a look the next one follows; 0: only when told. */
export function pickupIntervalMs(snapshot: ConfigSnapshot): number {
  return (pickupLine(snapshot)?.wakeup ?? DEFAULT_WAKEUP_S) * 1000;
}

function pickupLine({ services }: ConfigSnapshot): ServiceEntry | undefined {
  return services.find(({ command, type }) => command === "pickup" && (type === "unix" || type === "fifo"));
}

export interface PickupParts {
  readonly kit: WorkerKit;
  readonly store: QueueStore;
  /** Of the configuration at the moment. */
  readonly current: () => { readonly params: Parameters; readonly pickup: PickupService };
}

/** The pickup of the one worker that has it. */
export function wirePickup({ kit, store, current }: PickupParts): Pickup {
  const root = resolvePath(current().params.get("queue_directory"));
  return new Pickup({
    directories: { maildrop: join(root, "maildrop"), claimed: join(root, "pickup") },
    service: () => current().pickup,
    queue: kit.queue,
    isQueued: async (queueId) => (await store.read(queueId)) !== undefined,
    nextQueueId: kit.nextQueueId,
    freeBytes: kit.freeBytes,
    userOf: (uid) => userWith(readAccountFiles(), uid),
    clock: kit.clock,
  });
}
