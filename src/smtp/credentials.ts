/** smtp/credentials.ts: which password belongs to a next hop (postfix.md §5.8 key orders). */
import type { Address } from "../mail/address.ts";
import { domainOf } from "../mail/address.ts";
import type { TableOpener } from "../tables/table.ts";
import { firstValue } from "./first-value.ts";
import type { Target } from "./session.ts";
import type { Settings } from "./settings.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
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
  const value = await firstValue(tables, sasl.passwordMaps, [...bySender, target.host, target.nexthop]);
  if (value === undefined || value === "") return undefined;
  const colon = value.indexOf(":");
  if (colon < 0) return { username: value, password: "" };
  return { username: value.slice(0, colon), password: value.slice(colon + 1) };
}
