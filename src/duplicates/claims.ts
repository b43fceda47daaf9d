/** duplicates/claims.ts: the claims of all workers: one message is claimed by one of them. States: pending (about to be queued), kept (queued, the
 *  reply not read yet), orphan (its worker ended while it was pending: whether it is queued, the queue must tell). Read or
 *  refused, or after its time, a claim is gone. Each change is a line for the journal, so that a new master knows what the old one knew. */
import type { Clock } from "../base/clock.ts";
import { BUSY, type ClaimAnswer, type ClaimKey, type ClaimRequest, NEW } from "./claim.ts";

interface Claim {
  readonly queueId: string;
  readonly windowMs: number;
  /** Wall clock, for it outlives the machine. */
  untilMs: number;
  /** Of a pending one; undefined: kept. */
  holder: object | undefined;
}

/** In the place of a holder that has ended. */
const ENDED = {};

export interface ClaimsOptions {
  readonly clock: Pick<Clock, "now">;
  /** The most that are remembered; the oldest give way. */
  readonly limit: number;
  readonly warn: (text: string) => void;
}

export class Claims {
  readonly #options: ClaimsOptions;
  /** Oldest first. */
  readonly #claims = new Map<ClaimKey, Claim>();
  #lines = "";
  #full = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#claims.size;
  }

  /** `holder`: whose pending claims drop() makes orphans. */
  answer(holder: object, request: ClaimRequest): ClaimAnswer {
    const [what, key, queueId] = request;
    if (what === "ask") return this.#ask(holder, key, queueId, request[3]);
    const claim = this.#claims.get(key);
    if (claim?.queueId !== queueId) return "";
    if (what === "kept") this.#keep(key, claim);
    else this.#forget(key, claim);
    return "";
  }

  /** The holder has ended. True: some of its claims are orphans now. */
  drop(holder: object): boolean {
    let some = false;
    for (const claim of this.#claims.values()) {
      if (claim.holder !== holder) continue;
      claim.holder = ENDED;
      some = true;
    }
    return some;
  }

  /** Queue ids of orphans. */
  get orphans(): readonly string[] {
    return [...this.#claims.values()].filter(({ holder }) => holder === ENDED).map(({ queueId }) => queueId);
  }

  /** Of the orphans that were asked for, `queued` are there: the others were never queued. */
  settle(asked: readonly string[], queued: ReadonlySet<string>): void {
    const known = new Set(asked);
    for (const [key, claim] of [...this.#claims]) {
      if (claim.holder !== ENDED || !known.has(claim.queueId)) continue;
      if (queued.has(claim.queueId)) this.#keep(key, claim);
      else this.#forget(key, claim);
    }
  }

  /** What has changed since the last call. */
  takeLines(): string {
    const lines = this.#lines;
    this.#lines = "";
    return lines;
  }

  /** All that must be remembered, as lines. */
  allLines(): string {
    return [...this.#claims].map(([key, claim]) => lineOf(claim.holder ? "?" : "+", key, claim)).join("");
  }

  /** Takes the lines of a journal, oldest first; what is no line is passed over. Pending ones are orphans. */
  load(journal: string): void {
    for (const line of journal.split("\n")) {
      const [, sign, key = "", queueId = "", window, until] =
        /^([?+-])([\w-]{24}) ([A-Za-z0-9]{1,40}) (\d{1,10}) (\d{1,15})$/.exec(line) ?? [];
      if (sign === undefined) continue;
      this.#claims.delete(key);
      if (sign === "-") continue;
      const holder = sign === "?" ? ENDED : undefined;
      this.#claims.set(key, { queueId, windowMs: Number(window), untilMs: Number(until), holder });
    }
    this.#expire();
  }

  #ask(holder: object, key: ClaimKey, queueId: string, windowMs: number): ClaimAnswer {
    this.#expire();
    const claim = this.#claims.get(key);
    if (claim && claim.untilMs > this.#options.clock.now()) return claim.holder ? BUSY : claim.queueId;
    this.#put("?", key, { queueId, windowMs, untilMs: 0, holder });
    return NEW;
  }

  #keep(key: ClaimKey, claim: Claim): void {
    claim.holder = undefined;
    this.#put("+", key, claim);
  }

  #put(sign: "?" | "+", key: ClaimKey, claim: Claim): void {
    claim.untilMs = this.#options.clock.now() + claim.windowMs;
    this.#claims.delete(key);
    this.#claims.set(key, claim);
    this.#lines += lineOf(sign, key, claim);
  }

  #forget(key: ClaimKey, claim: Claim): void {
    this.#claims.delete(key);
    this.#lines += lineOf("-", key, claim);
  }

  /** The oldest stand in front, but for windows of several lengths: those are seen when they are asked for. */
  #expire(): void {
    const nowMs = this.#options.clock.now();
    for (const [key, claim] of this.#claims) {
      const over = this.#claims.size >= this.#options.limit;
      if (claim.untilMs > nowMs && !over) return;
      if (claim.untilMs > nowMs && !this.#full) {
        this.#full = true;
        this.#options.warn(
          `more than ${this.#options.limit} messages whose reply was not read: the oldest are forgotten`,
        );
      }
      this.#claims.delete(key);
    }
  }
}

function lineOf(sign: "?" | "+" | "-", key: ClaimKey, { queueId, windowMs, untilMs }: Claim): string {
  return `${sign}${key} ${queueId} ${windowMs} ${untilMs}\n`;
}
