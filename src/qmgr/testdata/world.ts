/** qmgr/testdata/world.ts: a scheduler with a queue in memory, time by hand, and agents that do as the test says. */
import { BUILT_IN_TEMPLATES } from "../../bounce/built-in.ts";
import { type BounceComposer, createBounceComposer } from "../../bounce/compose.ts";
import { type Parameters, parametersOf } from "../../config/parameters.ts";
import { Log } from "../../log/log.ts";
import { asAddress, domainOf } from "../../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest, RcptOutcome } from "../../mail/delivery.ts";
import type { RecipientDsn } from "../../mail/dsn.ts";
import type { Envelope } from "../../mail/envelope.ts";
import type { QueueId } from "../../mail/queue-id.ts";
import type { SlotLeases } from "../../mail/slot-lease.ts";
import { TableError } from "../../tables/table.ts";
import { createQueueManager, type QueueManager } from "../create.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryStore } from "./memory-store.ts";

export interface WorldOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly deliver: (request: DeliveryRequest, signal: AbortSignal) => Promise<readonly RcptOutcome[]>;
  readonly maxproc?: (transport: string) => number | undefined;
  readonly workers?: number;
  readonly leases?: SlotLeases;
  readonly clock?: ManualClock;
  /** true: a table does not answer. */
  readonly resolverFails?: () => boolean | Error;
  readonly bounceFails?: () => boolean;
}

/** What a sender asks of the queue. */
export type Wishes = Pick<Envelope, "futureRelease" | "deliverBy" | "priority" | "verify">;

export class World {
  readonly store = new MemoryStore();
  readonly clock: ManualClock;
  /** Settings of the moment; reconfigure() the queue after a change. */
  settings: Readonly<Record<string, string>>;
  readonly lines: string[] = [];
  readonly queue: QueueManager;
  #ids = 0;
  readonly #bounces: BounceComposer;

  constructor(options: WorldOptions) {
    this.clock = options.clock ?? new ManualClock();
    this.settings = options.settings ?? {};
    this.#bounces = createBounceComposer({
      params: this.#params(),
      clock: this.clock,
      templates: BUILT_IN_TEMPLATES,
      rewrite: (address) => (address.includes("@") ? address : asAddress(`${address}@example.org`)),
    });
    const sink = (r: { tag: string; text: string }) => this.lines.push(`${r.tag}: ${r.text}`);
    const logFor = (program: string) => new Log({ sink, now: () => 0, tag: `postfix/${program}`, id: 1 });
    const agent: DeliveryAgent = { deliver: options.deliver, close: async () => {} };
    this.queue = createQueueManager({
      store: this.store,
      resolver: {
        rewrite: (address) => address,
        classOf: (address) => (domainOf(address) === "mail.example.org" ? "local" : "default"),
        unlistedIn: () => undefined,
        hasSenderRouting: () => false,
        route: (recipient) => {
          const failure = options.resolverFails?.() ?? false;
          if (failure) throw failure === true ? new TableError("table is away") : failure;
          return { transport: "smtp", nexthop: domainOf(recipient) ?? "", recipient };
        },
      },
      agent: (transport) => (transport === "smtp" || transport === "discard" ? agent : undefined),
      bounces: {
        compose: async (input) => {
          if (options.bounceFails?.()) throw new Error("template is broken");
          return this.#bounces.compose(input);
        },
      },
      nextQueueId: () => this.nextId(),
      params: this.#params(),
      log: logFor("qmgr"),
      logFor,
      clock: this.clock,
      random: () => 0.5,
      maxproc: options.maxproc,
      workers: options.workers,
      leases: options.leases,
    });
  }

  /** Values follow `settings`, as they follow a reload. */
  #params(): Parameters {
    const params = parametersOf(this.settings);
    params.forTransport = (...args) => parametersOf(this.settings).forTransport(...args);
    params.get = (name) => parametersOf(this.settings).get(name);
    return params;
  }

  nextId(): QueueId {
    return `Q${++this.#ids}` as QueueId;
  }

  /** Commits a message and tells the scheduler, as cleanup does; `quiet`: as if it were in the queue from before. */
  async send(
    recipients: readonly string[],
    options: { sender?: string; quiet?: boolean; filter?: string; dsn?: RecipientDsn; login?: string; wishes?: Wishes } = {},
  ): Promise<QueueId> {
    const filter = options.filter;
    const sender = asAddress(options.sender ?? "me@example.org");
    const queueId = this.nextId();
    const rows = [];
    for (const text of recipients) {
      const address = asAddress(text);
      const lane = await this.queue.laneOf(address, sender, filter);
      const dueMs = options.wishes?.futureRelease?.untilMs ?? this.clock.now();
      rows.push({ address, original: address, lane, dueMs, dsn: options.dsn });
    }
    const { login } = options;
    const who = login === undefined ? {} : { saslUsername: login };
    const origin = { ...who, clientName: "c", clientAddress: "::1", helo: "c", protocol: "ESMTP", service: "submission" };
    const message = {
      envelope: {
        ...{ queueId, sender, arrivalMs: this.clock.now(), smtputf8: false, body: "7BIT" as const, origin },
        ...(filter !== undefined && { filter }),
        ...options.wishes,
      },
      header: Buffer.from("Subject: x\r\n\r\n"),
      body: { kind: "inline" as const, bytes: Buffer.from("hi\r\n") },
      recipients: rows,
      hold: false,
    };
    const claimed = await this.store.append(message, { claim: !options.quiet && !options.wishes?.futureRelease });
    if (options.wishes?.futureRelease) this.queue.dueAt(options.wishes.futureRelease.untilMs);
    if (claimed) this.queue.arrived(claimed);
    return queueId;
  }
}

export function outcome(request: DeliveryRequest, kind: RcptOutcome["kind"], dsn: string, text: string): RcptOutcome[] {
  return request.recipients.map(({ id }) => ({
    recipientId: id,
    kind,
    dsn,
    text,
    relay: "mx.test[192.0.2.1]:25",
    connectMs: 0,
    transmitMs: 0,
  }));
}
