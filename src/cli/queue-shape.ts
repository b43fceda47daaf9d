/** cli/queue-shape.ts: how old the mail of each domain is, as qshape(1) shows it: one row per domain, columns of age that
 *  double from five minutes on. Memory is bounded: domains beyond the first 10,000 share a row. */
import { domainOf } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueListing } from "../queue/store.ts";

/** Upper ends of the columns, in minutes; what is older has the last column. */
const EDGES: readonly number[] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
const MOST_DOMAINS = 10_000;
const OTHERS = "(others)";
/** Domains longer than this are cut on the left. */
const DOMAIN_WIDTH = 38;

export interface ShapeRow {
  readonly domain: string;
  /** By age, youngest first; as many as EDGES and one. */
  readonly counts: readonly number[];
  readonly total: number;
}

/** Feed it every listing once. */
export class QueueShape {
  readonly #rows = new Map<string, number[]>();
  readonly #total = EDGES.map(() => 0).concat(0);
  readonly #nowMs: number;
  readonly #by: "sender" | "recipient";

  constructor(options: { readonly nowMs: number; readonly by: "sender" | "recipient" }) {
    this.#nowMs = options.nowMs;
    this.#by = options.by;
  }

  /** Recipients count each; by sender, the message counts. */
  add(entry: QueueListing): void {
    const minutes = (this.#nowMs - entry.arrivalMs) / 60_000;
    const younger = EDGES.findIndex((edge) => minutes < edge);
    const column = younger < 0 ? EDGES.length : younger;
    if (this.#by === "sender") this.#count(entry.sender === "" ? "MAILER-DAEMON" : entry.sender, column);
    else for (const { address } of entry.recipients) this.#count(address, column);
  }

  #count(address: string, column: number): void {
    const named = address === "MAILER-DAEMON" ? address : (domainOf(address as never)?.toLowerCase() ?? "(none)");
    const domain = this.#rows.has(named) || this.#rows.size < MOST_DOMAINS ? named : OTHERS;
    const counts = this.#rows.get(domain) ?? EDGES.map(() => 0).concat(0);
    counts[column] = (counts[column] ?? 0) + 1;
    this.#total[column] = (this.#total[column] ?? 0) + 1;
    this.#rows.set(domain, counts);
  }

  /** The sum first, then the domains, most mail first. */
  rows(): readonly ShapeRow[] {
    const row = (domain: string, counts: readonly number[]) => ({ domain, counts, total: sum(counts) });
    const domains = Array.from(this.#rows, ([domain, counts]) => row(domain, counts));
    domains.sort((a, b) => b.total - a.total || (a.domain < b.domain ? -1 : 1));
    return [row("TOTAL", this.#total), ...domains];
  }
}

/** The table; a domain's column is as wide as the longest, up to a limit. */
export function formatShape(rows: readonly ShapeRow[]): string {
  const headings = ["T", ...EDGES.map(String), `${EDGES.at(-1)}+`];
  const cells = rows.map(({ total, counts }) => [total, ...counts].map(String));
  const widths = headings.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const names = rows.map(({ domain }) => shorten(printableUtf8(domain)));
  const first = Math.max(...names.map((name) => name.length));
  const line = (name: string, columns: readonly string[]) =>
    `${name.padStart(first)}${columns.map((cell, i) => ` ${cell.padStart(widths[i] ?? 0)}`).join("")}\n`;
  return line("", headings) + names.map((name, i) => line(name, cells[i] ?? [])).join("");
}

/** One JSON object a line, for each domain. */
export function formatShapeJson(rows: readonly ShapeRow[]): string {
  const ends = [...EDGES.map(String), `${EDGES.at(-1)}+`];
  const line = ({ domain, counts, total }: ShapeRow) =>
    `${JSON.stringify({ domain, total, minutes: Object.fromEntries(ends.map((end, i) => [end, counts[i]])) })}\n`;
  return rows.map(line).join("");
}

function shorten(name: string): string {
  return name.length <= DOMAIN_WIDTH ? name : `…${name.slice(1 - DOMAIN_WIDTH)}`;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, n) => total + n, 0);
}
