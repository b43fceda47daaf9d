/** master/rehearsal-kit.ts: what a service gets instead of a worker when a session is only played through (rehearse.ts): no
 *  queue, no counters, and where nobody must be asked, servers that say so. */
import { NotAsked } from "../access/not-asked.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import type { Parameters } from "../config/parameters.ts";
import { DecisionRecorder } from "../decisions/recorder.ts";
import type { Dns } from "../dns/resolver.ts";
import { Log, type LogSink } from "../log/log.ts";
import type { AddressProber } from "../mail/address-prober.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { ownAddresses } from "../net/interfaces.ts";
import { TicketKeys } from "../net/ticket-keys.ts";
import { unreachableService } from "../policy/client.ts";
import type { PolicyServers } from "../policy/policy.ts";
import { HashPool } from "../sasl/hash-pool.ts";
import { RefusalLog } from "../smtpd/refusal-log.ts";
import type { WorkerKit } from "./kit.ts";

export function rehearsalKit(dns: Dns, sink: LogSink): Omit<WorkerKit, "queue"> {
  // Nobody waits for `sleep` in a list, nor for a second try at a policy server.
  const clock = { ...systemClock, sleep: async () => undefined };
  return {
    clock,
    deadlines: new Deadlines(clock),
    dns,
    hostname: "",
    pid: 0,
    ownAddresses: ownAddresses(),
    logFor: (tag, id = 0) => new Log({ sink, now: clock.now, tag, id }),
    nextQueueId: () => "NOQUEUE" as QueueId,
    nextSessionId: () => 0,
    nextMaildirName: () => "",
    freeBytes: () => Number.MAX_SAFE_INTEGER,
    heldMail: { reserve: () => () => undefined, count: async () => 0, own: async () => 0 },
    hashes: new HashPool({ threads: 1, queueLimit: 1 }),
    ticketKeys: TicketKeys.fresh(clock),
    anvil: {
      connect: async () => ({ count: 0, rate: 0 }),
      disconnect: async () => undefined,
      count: async () => 0,
      peek: async () => 0,
      configure: () => undefined,
      close: () => undefined,
    },
    refusals: new RefusalLog(0),
    decisions: new DecisionRecorder({ limit: 0, clock, warn: () => undefined, send: async () => undefined }),
    flushSite: async () => undefined,
    pipes: {
      directory: "",
      nextFileName: () => "",
      run: () => Promise.reject(new Error("A rehearsal delivers nothing")),
    },
    addressCache: () => {
      throw new Error("A rehearsal verifies no addresses");
    },
  };
}

/** Whether an address is deliverable is never asked: it would take a probe. */
export const silentProber: AddressProber = {
  query: () => {
    throw new NotAsked();
  },
};

/** A name service whose every answer is that nobody was asked. */
export function silentDns(): Dns {
  const ask = () => Promise.reject(new NotAsked());
  return { mx: ask, addresses: ask, reverse: ask, ns: ask, txt: ask, records: ask, names: ask, close: () => undefined };
}

/** The same for policy servers. */
export function silentPolicyServers(params: Parameters): PolicyServers {
  return {
    open: (argument) => ({ ...unreachableService(argument, params), ask: () => Promise.reject(new NotAsked()) }),
    close: async () => undefined,
  };
}
