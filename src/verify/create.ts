/** verify/create.ts: makes the address verification of one configuration. Nothing is opened before the first question. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { scopeOf } from "../config/scope.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { AddressProber } from "../mail/address-prober.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import type { ProbeSender } from "../mail/probe-sender.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { createResolver } from "../rewrite/create.ts";
import { createMappings } from "../rewrite/mappings.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { StatusCache } from "../tables/status-cache.ts";
import type { TableOpener } from "../tables/table.ts";
import { Probes } from "./probe.ts";
import { probeScope } from "./probe-scope.ts";
import { Prober } from "./prober.ts";
import { recordTimes } from "./record.ts";

export interface VerificationOptions {
  readonly snapshot: ConfigSnapshot;
  readonly tables: TableOpener;
  readonly ownAddresses: readonly string[];
  readonly cache: () => StatusCache;
  readonly agent: (transport: string) => DeliveryAgent | undefined;
  readonly nextQueueId: () => QueueId;
  readonly clock: Clock;
  /** By program, the syslog name in front. */
  readonly logFor: (program: string) => Log;
}

export interface Verification extends AddressProber {
  /** Breaks off the probes under way. */
  close(): void;
}

export function createVerification(options: VerificationOptions): Verification {
  let made: { readonly prober: Prober; readonly probes: Probes } | undefined;
  return {
    query(address) {
      made ??= make(options);
      return made.prober.query(address);
    },
    close() {
      made?.prober.close();
      made?.probes.close();
    },
  };
}

function make(options: VerificationOptions) {
  const { snapshot, tables, ownAddresses, cache, clock, logFor } = options;
  const plain = scopeOf(snapshot);
  const resolver = createResolver(plain, { tables, ownAddresses });
  const params = probeScope(snapshot);
  const routing = params === plain ? resolver : createResolver(params, { tables, ownAddresses });
  const route = { params: plain, mappings: createMappings(plain, { tables, resolver }), resolver: routing };
  const probes = new Probes({ ...options, route });
  const prober = new Prober({
    ...{ cache, clock, log: logFor("verify"), times: recordTimes(plain) },
    sender: probeSender(plain, resolver),
    sweepMs: plain.get("address_verify_cache_cleanup_interval"),
    pendingLimit: plain.get("address_verify_pending_request_limit"),
    send: (address, sender) => probes.send(address, sender),
  });
  return { prober, probes };
}

/** The sender of probes as these parameters have it. */
export function probeSender(params: Parameters, resolver: Pick<AddressResolver, "rewrite">): ProbeSender {
  const text = params.get("address_verify_sender");
  const address = text === "" || text === "<>" ? asAddress("") : resolver.rewrite(asAddress(text));
  return { address, lifeMs: params.get("address_verify_sender_ttl") };
}
