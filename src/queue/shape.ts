/** queue/shape.ts: how old the mail of each domain is, as qshape(1) shows it: counts by domain and by age, in columns that
 *  double from five minutes on. Memory is bounded: domains beyond the first 10,000 share a row. Counting rows is shape-rows.ts. */
import { domainOf } from "../mail/address.ts";
import type { QueueListing, ShapeCount, ShapeQuery } from "./store.ts";

/** Upper ends of the columns, in minutes; what is older has one more. */
export const SHAPE_EDGES: readonly number[] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
const MOST_DOMAINS = 10_000;
const OTHERS = "(others)";
const NO_DOMAIN = "(none)";
export const NULL_SENDER = "MAILER-DAEMON";

export interface ShapeRow {
  readonly domain: string;
  /** By age, youngest first; as many as there are columns. */
  readonly counts: readonly number[];
  readonly total: number;
}

export class QueueShape {
  readonly #rows = new Map<string, number[]>();
  readonly #total = SHAPE_EDGES.map(() => 0).concat(0);

  /** Adds counts, also those of another shape. */
  add(counts: readonly ShapeCount[]): void {
    for (const [named, column, count] of counts) {
      const name = named === NULL_SENDER ? named : (named?.toLowerCase() ?? NO_DOMAIN);
      const domain = this.#rows.has(name) || this.#rows.size < MOST_DOMAINS ? name : OTHERS;
      const row = this.#rows.get(domain) ?? SHAPE_EDGES.map(() => 0).concat(0);
      row[column] = (row[column] ?? 0) + count;
      this.#total[column] = (this.#total[column] ?? 0) + count;
      this.#rows.set(domain, row);
    }
  }

  /** Adds one message that was listed; its queue is not looked at. */
  addListed(entry: QueueListing, { nowMs, by }: Pick<ShapeQuery, "nowMs" | "by">): void {
    const minutes = (nowMs - entry.arrivalMs) / 60_000;
    const younger = SHAPE_EDGES.findIndex((edge) => minutes < edge);
    const column = younger < 0 ? SHAPE_EDGES.length : younger;
    if (by === "sender") this.add([[entry.sender === "" ? NULL_SENDER : domainIn(entry.sender), column, 1]]);
    else this.add(entry.recipients.map(({ address }) => [domainIn(address), column, 1]));
  }

  /** What add() takes; at most ten for each of 10,001 domains. */
  get counts(): readonly ShapeCount[] {
    return Array.from(this.#rows, ([domain, counts]) =>
      counts.flatMap((count, column) => (count === 0 ? [] : [[domain, column, count] as const])),
    ).flat();
  }

  /** The sum first, then the domains, most mail first. */
  rows(): readonly ShapeRow[] {
    const row = (domain: string, counts: readonly number[]) => ({ domain, counts, total: sum(counts) });
    const domains = Array.from(this.#rows, ([domain, counts]) => row(domain, counts));
    domains.sort((a, b) => b.total - a.total || (a.domain < b.domain ? -1 : 1));
    return [row("TOTAL", this.#total), ...domains];
  }
}

/** In lower case, and so never NULL_SENDER. */
function domainIn(address: QueueListing["sender"]): string | undefined {
  return domainOf(address)?.toLowerCase();
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, n) => total + n, 0);
}
