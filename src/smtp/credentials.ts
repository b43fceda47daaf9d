/** smtp/credentials.ts: which password and which TLS level belong to a next hop (postfix.md §5.8 key orders). */
import type { Address } from "../mail/address.ts";
import { domainOf } from "../mail/address.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import type { Target } from "./session.ts";
import type { Settings, TlsLevel } from "./settings.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** The first value of the first key in any of the tables. Rejects TableError. */
async function lookUp(
  tables: TableOpener,
  maps: readonly string[],
  keys: readonly string[],
): Promise<string | undefined> {
  for (const key of keys) {
    for (const ref of maps) {
      const value = await tables.open(ref).get(key);
      if (value !== undefined) return value;
    }
  }
  return undefined;
}

/** User and password for a server: by sender (if enabled), by host, by next hop as written. Rejects TableError. */
export async function findCredentials(
  tables: TableOpener,
  settings: Settings,
  server: { readonly target: Target; readonly sender: Address },
): Promise<Credentials | undefined> {
  const { sasl } = settings;
  if (!sasl.enable || sasl.passwordMaps.length === 0) return undefined;
  const { target, sender } = server;
  const bySender = sasl.bySender && sender !== "" ? [sender, `@${domainOf(sender) ?? ""}`] : [];
  const value = await lookUp(tables, sasl.passwordMaps, [...bySender, target.host, target.nexthop]);
  if (value === undefined || value === "") return undefined;
  const colon = value.indexOf(":");
  if (colon < 0) return { username: value, password: "" };
  return { username: value.slice(0, colon), password: value.slice(colon + 1) };
}

const LEVELS: ReadonlySet<string> = new Set(["none", "may", "encrypt", "verify", "secure"]);

/** TLS level for a target: policy table by next hop, host, parent domains; else the level for all. Rejects TableError,
 *  also for a level that we cannot keep: mail then waits, it is never sent with less. */
export async function findTlsLevel(tables: TableOpener, settings: Settings, target: Target): Promise<TlsLevel> {
  const { level, policyMaps } = settings.tls;
  if (policyMaps.length === 0 || target.port === undefined) return level;
  const bare = target.nexthop.replace(/^\[|\](?=:|$)|:\d+$/g, "").toLowerCase();
  const parents: string[] = [];
  for (let dot = bare.indexOf("."); dot >= 0; dot = bare.indexOf(".", dot + 1)) parents.push(bare.slice(dot));
  const value = await lookUp(tables, policyMaps, [target.nexthop, bare, ...parents]);
  if (value === undefined) return level;
  const [word = "", ...attributes] = value.toLowerCase().split(/[\s,]+/);
  if (!LEVELS.has(word)) throw new TableError(`TLS level "${word}" of "${target.nexthop}" is not supported`);
  if (attributes.some((attribute) => attribute.startsWith("match="))) {
    throw new TableError(`TLS policy attribute match= of "${target.nexthop}" is not supported`);
  }
  return word as TlsLevel;
}
