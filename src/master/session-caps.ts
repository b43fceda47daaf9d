/** master/session-caps.ts: an explicit maxproc of an inet service caps its sessions over all workers (design §7). As in
 *  Postfix a connection above the cap waits for the end of another, without a greeting; only so many may wait, the next
 *  are turned away. postscreen, one process for all in Postfix, has no cap: its maxproc of 1 means something else.
 *  A service is under stress from the session that takes its last slot, until none has done so for a while. With several
 *  workers nobody sees the last slot go: there a wait for a slot is the sign. */
import type { Clock } from "../base/clock.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import type { SlotLeases } from "../mail/slot-lease.ts";
import type { AcceptedSocket } from "../net/listener.ts";
import { type SlotRule, Slots } from "../qmgr/slots.ts";

/** Connections of one service that may wait in one worker: Postfix's inet_listen_backlog. */
const MOST_WAITING = 100;
/** Leased slots that are asked for, and kept, at a time: sessions come faster than the master should be asked. */
const BATCH = 8;

/** As in Postfix's master. */
const STRESS_MS = 1_000_000;
/** Slots that are free come from the master well within this. */
const STRESS_WAIT_MS = 1000;

export function hasSessionCap({ type, command, maxproc }: ServiceEntry): boolean {
  return type === "inet" && command === "smtpd" && maxproc !== undefined && maxproc > 0;
}

export interface SessionCapsOptions {
  readonly workers: number;
  readonly leases: SlotLeases;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

type Start = (stressed: boolean) => void;

interface Waiting {
  readonly socket: AcceptedSocket;
  readonly start: Start;
  /** When it came. */
  readonly sinceMs: number;
}

interface Cap {
  readonly name: string;
  maxproc: number;
  /** On the monotonic clock. */
  stressedUntilMs: number;
  readonly slots: Slots;
  /** Oldest first; one whose client has gone is not among them. */
  readonly waiting: Set<Waiting>;
}

export class SessionCaps {
  readonly #options: SessionCapsOptions;
  /** By service; stays when the service loses its cap, for the sessions that count. */
  readonly #caps = new Map<string, Cap>();
  #capped: ReadonlySet<string> = new Set();

  constructor(options: SessionCapsOptions) {
    this.#options = options;
  }

  /** Takes over the caps of a configuration. Sessions that began without one are not counted. */
  configure({ services }: Pick<ConfigSnapshot, "services">): void {
    const capped = new Set<string>();
    for (const service of services) {
      if (!hasSessionCap(service)) continue;
      const { name, maxproc = 0 } = service;
      capped.add(name);
      const cap = this.#caps.get(name);
      if (cap) cap.maxproc = maxproc;
      if (cap) cap.slots.change(this.#rule(maxproc));
      else this.#caps.set(name, this.#create(name, maxproc));
    }
    this.#capped = capped;
    for (const [name, cap] of this.#caps) {
      if (capped.has(name)) this.#serve(cap);
      else for (const next of cap.waiting) begin(cap, next, false);
    }
  }

  /** Calls `start` now, or when the socket has had its turn. False: too many wait, `start` will not be called. */
  admit(service: string, socket: AcceptedSocket, start: Start): boolean {
    const cap = this.#capped.has(service) ? this.#caps.get(service) : undefined;
    if (!cap) {
      start(false);
      return true;
    }
    if (cap.waiting.size >= MOST_WAITING) return false;
    const entry: Waiting = { socket, start, sinceMs: this.#options.clock.monotonic() };
    cap.waiting.add(entry);
    // The session listens for itself later; until then nobody else does.
    socket.once("error", () => socket.destroy()).once("close", () => cap.waiting.delete(entry));
    this.#serve(cap);
    return true;
  }

  /** Ends connections that wait: the worker stops. */
  close(): void {
    for (const { waiting } of this.#caps.values()) {
      for (const { socket } of waiting) socket.destroy();
      waiting.clear();
    }
  }

  #create(name: string, maxproc: number): Cap {
    const slots = new Slots({ key: `inet ${name}`, rule: this.#rule(maxproc), wake: () => this.#serve(cap) });
    const cap: Cap = { name, maxproc, slots, waiting: new Set(), stressedUntilMs: Number.NEGATIVE_INFINITY };
    return cap;
  }

  #rule(limit: number): SlotRule {
    return { limit, leases: this.#options.workers > 1 ? this.#options.leases : undefined, spare: BATCH };
  }

  /** Starts sessions as far as there are slots. */
  #serve(cap: Cap): void {
    const { slots, waiting } = cap;
    for (const next of waiting) {
      if (!slots.take(Math.max(BATCH, waiting.size))) break;
      next.socket.once("close", () => {
        slots.give();
        this.#serve(cap);
      });
      begin(cap, next, this.#isStressed(cap, next));
    }
    slots.trim(0);
  }

  /** Of a session that has just got its slot. */
  #isStressed(cap: Cap, { sinceMs }: Waiting): boolean {
    const { clock, workers, warn } = this.#options;
    const now = clock.monotonic();
    const full = workers > 1 ? now - sinceMs >= STRESS_WAIT_MS : !cap.slots.hasSlot;
    if (full && cap.stressedUntilMs <= now) {
      const { name, maxproc } = cap;
      warn(
        `service "${name}" has reached its process limit "${maxproc}": new clients may experience noticeable delays`,
      );
    }
    if (full) cap.stressedUntilMs = now + STRESS_MS;
    return cap.stressedUntilMs > now;
  }
}

function begin({ waiting }: Cap, next: Waiting, stressed: boolean): void {
  waiting.delete(next);
  next.start(stressed);
}
