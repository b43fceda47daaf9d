/** master/check-role-mailboxes.ts: domains of ours whose postmaster or abuse desk gets no mail, although others rely on that (RFC 5321
 *  §4.5.1, RFC 2142 §4, §5). Only tables that can be read whole are asked, no database. */
import type { Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";
import type { Problem } from "../config/snapshot.ts";
import { asAddress, NULL_ADDRESS } from "../mail/address.ts";
import { createResolver } from "../rewrite/create.ts";
import { openAliases } from "../rewrite/recipients.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { parseTransport } from "../rewrite/transport.ts";
import { type LookupTable, TableError, type TableOpener } from "../tables/table.ts";

/** Domains that are looked at, and that one warning names. */
const MOST_DOMAINS = 200;
const MOST_NAMES = 5;

/** The names, and what is said where one is refused. */
const ROLES = [
  { name: "postmaster", why: "every domain must have a postmaster" },
  { name: "abuse", why: "complaints about mail of the domain go there (RFC 2142)" },
] as const;

/** Where domains of ours are listed. */
const LISTS = ["virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"] as const;

/** All that is asked about an address. */
const ASKED: readonly ParameterName[] = [
  ...["canonical_maps", "recipient_canonical_maps", "virtual_alias_maps", "virtual_mailbox_maps"],
  ...["relay_recipient_maps", "relocated_maps", "transport_maps", ...LISTS, "mydestination"],
] as ParameterName[];

export async function checkRoleMailboxes(params: Parameters, tables: TableOpener): Promise<readonly Problem[]> {
  if (!ASKED.every((name) => isReadable(params.get(name) as readonly string[], tables))) return [];
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const found: Problem[] = [...checkLocal(params, tables)];
  for (const list of LISTS) {
    const domains = domainsOf(params.get(list), tables);
    for (const role of ROLES) {
      const addresses = domains.map((domain) => `${role.name}@${domain}`);
      const missing = await refusedOf(addresses, resolver);
      if (missing.length > 0) found.push(problem(role, missing, params.source(list)));
    }
  }
  return found;
}

async function refusedOf(addresses: readonly string[], resolver: AddressResolver): Promise<readonly string[]> {
  const refused: string[] = [];
  for (const address of addresses) {
    try {
      const why = await resolver.undeliverable?.(asAddress(address), { who: "recipient", sender: NULL_ADDRESS });
      if (why?.kind === "unlisted" || why?.kind === "error") refused.push(address);
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
    }
  }
  return refused;
}

function problem({ name, why }: (typeof ROLES)[number], missing: readonly string[], at: Problem["at"]): Problem {
  const more = missing.length > MOST_NAMES ? ` and ${missing.length - MOST_NAMES} more` : "";
  const text = `mail to ${missing.slice(0, MOST_NAMES).join(", ")}${more} is refused: ${why}`;
  return { severity: "warning", at, text, hint: `add an alias for ${name}` };
}

/** The postmaster of local domains is taken at RCPT, whoever it is; where there are aliases, each role should be one. */
function checkLocal(params: Parameters, tables: TableOpener): readonly Problem[] {
  const at = params.source("alias_maps");
  const elsewhere = ["mailbox_transport", "fallback_transport", "luser_relay"] as const;
  if (at === undefined || elsewhere.some((name) => params.get(name) !== "")) return [];
  if (parseTransport(params.get("local_transport")).transport !== "local") return [];
  const aliases = openAliases(params, tables);
  if (aliases.length === 0 || !aliases.every(({ entries }) => entries !== undefined)) return [];
  const missing = ROLES.filter(({ name }) => !aliases.some(({ entries }) => entries?.has(name)));
  return missing.map(({ name, why }) => {
    const text = `alias_maps has no ${name}: mail to ${name} in local domains needs an account of that name, and ${why}`;
    return { severity: "warning", at, text, hint: `add an alias for ${name}` };
  });
}

function isReadable(items: readonly string[], tables: TableOpener): boolean {
  return items.filter(isTable).every((ref) => entriesOf(tables.open(ref)) !== undefined);
}

function domainsOf(items: readonly string[], tables: TableOpener): readonly string[] {
  const named = items.flatMap((item) =>
    isTable(item) ? [...(tables.open(item).entries?.keys() ?? [])] : item.startsWith("!") ? [] : [item],
  );
  return named.filter((name) => /^[a-z0-9][a-z0-9.-]*\.[a-z0-9-]+$/i.test(name)).slice(0, MOST_DOMAINS);
}

function isTable(item: string): boolean {
  return /^!*[a-z][a-z0-9_]*:/i.test(item);
}

function entriesOf({ entries, rules }: LookupTable): unknown {
  return entries ?? rules;
}
