/** master/site-flush.ts: mail that waits for one domain is sent now (ETRN): which domains may ask, and the way from the
 *  worker that was asked, through the master, to the queues of all workers. */
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { domainOf } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueAdmin } from "../queue/store.ts";
import type { SmtpdOptions } from "../smtpd/options.ts";
import { compileDomainList } from "../tables/pattern-list.ts";
import { TableError, type TableOpener } from "../tables/table.ts";

/** Rows of one page of the queue. */
const PAGE = 1000;
/** Flushes under way at a time; each reads the whole queue. */
const MOST_FLUSHES = 10;

export interface SiteFlushParts {
  readonly tables: TableOpener;
  readonly log: Log;
  /** Tells the master; rejects when it cannot take the request. */
  readonly ask: (domain: string) => Promise<void>;
}

/** What ETRN does in one service. */
export function siteFlusher(params: Parameters, { tables, log, ask }: SiteFlushParts): SmtpdOptions["flushSite"] {
  const name = "fast_flush_domains";
  const parentMatches = params.get("parent_domain_matches_subdomains").includes(name);
  const list = compileDomainList(params.get(name), { opener: tables, parentMatches });
  return async (domain) => {
    try {
      if (!(await list.matches(domain))) return "denied";
      await ask(domain);
      return "started";
    } catch (error) {
      const what = error instanceof TableError ? name : "flush";
      log.warning(printableUtf8(`${what}: ${error instanceof Error ? error.message : String(error)}`));
      return "failed";
    }
  };
}

/** The master's side: each domain once at a time, over all workers. */
export class SiteFlushes {
  readonly #flushAll: (domain: string) => Promise<unknown>;
  readonly #log: Log;
  readonly #running = new Set<string>();

  constructor(flushAll: (domain: string) => Promise<unknown>, log: Log) {
    this.#flushAll = flushAll;
    this.#log = log;
  }

  /** Returns when the flush is under way. Throws when too many are. */
  start(domain: string): void {
    if (this.#running.has(domain)) return;
    if (this.#running.size >= MOST_FLUSHES) throw new Error("too many requests at a time");
    this.#running.add(domain);
    void this.#flushAll(domain)
      .catch((error: Error) => this.#log.warning(printableUtf8(`flush of ${domain}: ${error.message}`)))
      .finally(() => this.#running.delete(domain));
  }
}

/** One worker's queue: makes all mail to the domain due now. */
export async function flushSite(queue: QueueAdmin, domain: string): Promise<readonly QueueId[]> {
  const touched: QueueId[] = [];
  for (let after: QueueId | undefined; ; ) {
    const page = await queue.list({ after, limit: PAGE });
    const ids = page
      .filter(({ recipients }) => recipients.some(({ address }) => domainOf(address)?.toLowerCase() === domain))
      .map(({ queueId }) => queueId);
    if (ids.length > 0) touched.push(...(await queue.flush(ids)));
    after = page.at(-1)?.queueId;
    if (page.length < PAGE) return touched;
  }
}
