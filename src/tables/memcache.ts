/** tables/memcache.ts: `memcache:/path/file.cf`, memcache_table(5): a memcached, and behind it perhaps a table that is asked
 *  for what is not there; its answers are then stored. Only lookups: no table of ours is written by its users. */
import { type Clock, systemClock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { admitsKey, expandQuery, parseTemplate, type Template } from "./key-expansion.ts";
import {
  formatGet,
  formatSet,
  getParser,
  type MemcacheKey,
  type MemcacheLimits,
  parseMemcacheKey,
  replyLimitBytes,
  setParser,
} from "./memcache-wire.ts";
import type { OpenerContext } from "./opener.ts";
import { compileNameList, type DomainList } from "./pattern-list.ts";
import { PeerExchange, parseTarget } from "./peer-exchange.ts";
import { checkValue, lookupError, PeerError } from "./peer-pool.ts";
import { openQueryFile, type QueryFile } from "./query-file.ts";
import { type Answer, type LookupTable, TableError } from "./table.ts";

const KNOWN = `memcache backup flags ttl key_format domain data_size_limit line_size_limit max_try retry_pause
  timeout`.split(/\s+/);

interface Settings {
  readonly limits: MemcacheLimits;
  readonly keyFormat: Template;
  readonly domains: DomainList | undefined;
  readonly flags: number;
  /** Seconds. */
  readonly ttl: number;
  readonly maxTry: number;
  readonly retryPauseMs: number;
  readonly timeoutMs: number;
}

/** Throws TableError for wrong settings. */
export function openMemcache(ref: string, name: string, options: OpenerContext): LookupTable {
  const file = openQueryFile(name, options);
  for (const warning of file.unknown(KNOWN)) options.log.warning(warning);
  const settings = readSettings(file, options);
  const clock = options.clock ?? systemClock;
  const server = new PeerExchange({
    target: parseTarget(file.text("memcache", "inet:localhost:11211")),
    clock,
    timeoutMs: settings.timeoutMs,
    replyLimitBytes: replyLimitBytes(settings.limits),
  });
  const cache = new MemcacheTable({
    ref,
    settings,
    server,
    clock,
    log: options.log,
    backup: openBackup(file, options),
  });
  return {
    ref,
    partialKeys: true,
    get: (key) => cache.get(key),
    async close() {
      server.close();
    },
  };
}

function readSettings(file: QueryFile, options: OpenerContext): Settings {
  const keyFormat = file.text("key_format", "%s");
  const domains = file.list("domain");
  return {
    limits: {
      line: file.number("line_size_limit", 1024, { min: 64, max: 1024 * 1024 }),
      data: file.number("data_size_limit", 10240, { min: 1, max: 16 * 1024 * 1024 }),
    },
    keyFormat: parseTemplate(keyFormat, `${file.path}: key_format`),
    domains: domains.length === 0 ? undefined : compileNameList(domains, { opener: options.tables }),
    flags: file.number("flags", 0, { min: 0, max: 0xffff_ffff }),
    ttl: file.number("ttl", 3600, { min: 0 }),
    maxTry: file.number("max_try", 2, { min: 1, max: 100 }),
    retryPauseMs: 1000 * file.number("retry_pause", 1, { min: 0, max: 600 }),
    timeoutMs: 1000 * file.number("timeout", 2, { min: 1, max: 600 }),
  };
}

/** A cache behind a cache could be the same one, and would ask itself for ever. */
function openBackup(file: QueryFile, options: OpenerContext): LookupTable | undefined {
  const ref = file.text("backup");
  if (ref === "") return undefined;
  if (/memcache:/.test(ref)) throw file.bad("backup", `backup = ${ref}: specify a persistent table, not memcache`);
  return options.tables.open(ref);
}

class MemcacheTable {
  readonly #ref: string;
  readonly #settings: Settings;
  readonly #server: PeerExchange;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #backup: LookupTable | undefined;

  constructor(parts: {
    readonly ref: string;
    readonly settings: Settings;
    readonly server: PeerExchange;
    readonly clock: Clock;
    readonly log: Log;
    readonly backup: LookupTable | undefined;
  }) {
    this.#ref = parts.ref;
    this.#settings = parts.settings;
    this.#server = parts.server;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#backup = parts.backup;
  }

  async get(name: string): Promise<Answer> {
    if (name === "" || !(await admitsKey(this.#settings.domains, name))) return undefined;
    const pieces = expandQuery(this.#settings.keyFormat, name.toLowerCase());
    if (!pieces) return undefined;
    const made = parseMemcacheKey(pieces.map(({ text }) => text).join(""));
    if ("problem" in made) return this.#unaskable(name, made.problem);
    const cached = await this.#fetch(made.key);
    if (cached.kind === "found") return checkValue(this.#ref, cached.value);
    if (!this.#backup) {
      if (cached.kind === "notFound") return undefined;
      throw lookupError(this.#ref, cached.error);
    }
    const value = await this.#backup.get(name);
    if (value !== undefined) await this.#store(made.key, value);
    return value;
  }

  /** memcached cannot have this key: only the backup can. Without one, nobody has a key with a blank; what memcached would
   *  refuse is an error. As Postfix, which however does not ask the backup for a key with a blank. */
  async #unaskable(name: string, problem: string): Promise<Answer> {
    if (this.#backup) return this.#backup.get(name);
    if (problem === "name contains space") return undefined;
    throw new TableError(`table ${this.#ref} lookup error: ${problem}`);
  }

  async #fetch(
    key: MemcacheKey,
  ): Promise<{ kind: "found"; value: string } | { kind: "notFound" } | { kind: "failed"; error: PeerError }> {
    try {
      const { limits } = this.#settings;
      return await this.#tried(() => this.#server.ask(formatGet(key), getParser(key, limits)));
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (this.#backup) this.#log.warning(`table ${this.#ref} lookup error: ${error.message}; asking the backup`);
      return { kind: "failed", error };
    }
  }

  /** A cache that cannot be written costs time, not mail. */
  async #store(key: MemcacheKey, value: string): Promise<void> {
    const { limits, flags, ttl } = this.#settings;
    const bytes = Buffer.from(value, "utf8");
    if (bytes.length > limits.data) {
      this.#log.warning(
        `database ${this.#ref}: data for key ${key} is too long (data_size_limit=${limits.data}) -- not stored`,
      );
      return;
    }
    try {
      await this.#server.ask(formatSet(key, bytes, { flags, ttl }), setParser(limits));
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#log.warning(`database ${this.#ref}: update failed: ${error.message}`);
    }
  }

  /** Up to max_try times, with a pause between; a server that takes no connection is asked once. */
  async #tried<T>(ask: () => Promise<T>): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        return await ask();
      } catch (error) {
        const final = !(error instanceof PeerError) || ["connect", "closed", "busy"].includes(error.kind);
        if (final || count >= this.#settings.maxTry) throw error;
      }
      await this.#clock.sleep(this.#settings.retryPauseMs);
    }
  }
}
