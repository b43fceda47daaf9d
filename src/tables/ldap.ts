/** tables/ldap.ts: `ldap:/path/file.cf`, ldap_table(5). Keys are lower-cased and escaped: whatever a client sends, it is one
 *  value inside the operator's filter or search base. */
import { type Clock, systemClock } from "../base/clock.ts";
import { admitsKey, expandQuery, joinResults, type Template } from "./key-expansion.ts";
import { escapeFilterValue, escapeNameValue } from "./ldap-escape.ts";
import { driverProblem, type LdapEntry, LdapLink, type LdapRequest } from "./ldap-link.ts";
import { collectValues } from "./ldap-results.ts";
import { type LdapAccess, type LdapSettings, readLdapSettings } from "./ldap-settings.ts";
import type { OpenerContext } from "./opener.ts";
import { checkValue, lookupError, type PeerConnection, PeerError, PeerPool } from "./peer-pool.ts";
import { openQueryFile } from "./query-file.ts";
import { type Answer, type LookupTable, TableError } from "./table.ts";

/** A lookup as a whole, with all its searches, where the servers' timeouts add up to less. */
const MIN_LOOKUP_MS = 100_000;

/** Throws TableError for wrong settings or a missing driver. */
export function openLdap(ref: string, name: string, options: OpenerContext): LookupTable {
  const settings = readLdapSettings(openQueryFile(name, options), options);
  const problem = driverProblem();
  if (problem !== undefined) throw new TableError(problem);
  const clock = options.clock ?? systemClock;
  const { access } = settings;
  const pool = new PeerPool({
    clock,
    timeoutMs: Math.max(MIN_LOOKUP_MS, access.timeoutMs * 4 * (access.servers.length + 1)),
    open: () => new LdapConnection(access, clock),
  });
  const warn = (text: string) => options.log.warning(`${ref}: ${text}`);
  return {
    ref,
    partialKeys: true,
    get: (key) => lookUp(key, { ref, settings, pool, warn }),
    async close() {
      pool.close();
    },
  };
}

interface Lookup {
  readonly ref: string;
  readonly settings: LdapSettings;
  readonly pool: PeerPool<LdapConnection>;
  readonly warn: (text: string) => void;
}

async function lookUp(name: string, { ref, settings, pool, warn }: Lookup): Promise<Answer> {
  const { results, domains, scope } = settings;
  // Servers compare up to a NUL, or leave it out: it would find what another key finds.
  if (!name.isWellFormed() || name.includes("\0")) return undefined;
  const key = name.toLowerCase();
  if (!(await admitsKey(domains, key))) return undefined;
  const base = fill(settings.base, key, escapeNameValue);
  const filter = fill(settings.filter, key, escapeFilterValue);
  if (base === undefined || filter === undefined) return undefined;
  try {
    const values = await pool.use(async (connection) => {
      const search = (request: LdapRequest) => connection.search(request);
      const found = await search({ base, scope, filter, attributes: results.all });
      if (found !== "noSuchObject") return collectValues(found, { plan: results, search, warn });
      // A search base that is made of the key need not exist.
      if (settings.base.parts.some(({ kind }) => kind === "key")) return [];
      throw new PeerError("refused", `Search base '${base}' not found: 32: No such object`);
    });
    const answer = joinResults(results.rules, values, key);
    return answer === undefined ? undefined : checkValue(ref, answer);
  } catch (cause) {
    throw lookupError(ref, cause);
  }
}

/** Undefined: the key lacks a part that the template needs. */
function fill(template: Template, key: string, quote: (text: string) => string): string | undefined {
  return expandQuery(template, key)
    ?.map(({ kind, text }) => (kind === "key" ? quote(text) : text))
    .join("");
}

/** A connection to the first server that takes it. */
class LdapConnection implements PeerConnection {
  readonly ready: Promise<void>;
  #link: LdapLink | undefined;
  #closed = false;

  constructor(access: LdapAccess, clock: Clock) {
    this.ready = this.#open(access, clock);
  }

  get usable(): boolean {
    return !this.#closed && this.#link?.usable === true;
  }

  search(request: LdapRequest): Promise<readonly LdapEntry[] | "noSuchObject"> {
    if (!this.#link) return Promise.reject(new PeerError("closed", "not connected"));
    return this.#link.search(request);
  }

  close(): void {
    this.#closed = true;
    this.#link?.close();
  }

  async #open(access: LdapAccess, clock: Clock): Promise<void> {
    const failures: string[] = [];
    for (const server of access.servers) {
      if (this.#closed) break;
      const link = new LdapLink(access, server, clock);
      this.#link = link;
      try {
        await link.establish();
        return;
      } catch (error) {
        link.close();
        if (!(error instanceof PeerError)) throw error;
        failures.push(`${server.name}: ${error.message}`);
      }
    }
    throw new PeerError("connect", failures.join("; "));
  }
}
