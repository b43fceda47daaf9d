/** master/check-postmaster.ts: domains whose postmaster gets no mail, although everybody may rely on that (RFC 5321 §4.5.1, RFC 2142 §5). Only tables
 *  that can be read whole are asked, no database. */
import type { Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";
import type { Problem } from "../config/snapshot.ts";
import { asAddress, NULL_ADDRESS } from "../mail/address.ts";
import { createResolver } from "../rewrite/create.ts";
import { openAliases } from "../rewrite/recipients.ts";
import type { Undeliverable } from "../rewrite/resolve.ts";
import { type LookupTable, TableError, type TableOpener } from "../tables/table.ts";

/** Domains that are looked at, and that one warning names. */
const MOST_DOMAINS = 200;
const MOST_NAMES = 5;

/** Where domains of ours are listed. */
const LISTS = ["virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"] as const;

/** All that is asked about an address. */
const ASKED: readonly ParameterName[] = [
  ...["canonical_maps", "recipient_canonical_maps", "virtual_alias_maps", "virtual_mailbox_maps"],
  ...["relay_recipient_maps", "relocated_maps", "transport_maps", ...LISTS, "mydestination"],
] as ParameterName[];

export async function checkPostmaster(params: Parameters, tables: TableOpener): Promise<readonly Problem[]> {
  if (!ASKED.every((name) => isReadable(params.get(name) as readonly string[], tables))) return [];
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const found: Problem[] = [...checkLocal(params, tables)];
  for (const name of LISTS) {
    const missing: string[] = [];
    for (const domain of domainsOf(params.get(name), tables)) {
      const query = { who: "recipient", sender: NULL_ADDRESS } as const;
      try {
        const why = await resolver.undeliverable?.(asAddress(`postmaster@${domain}`), query);
        if (isMissing(why)) missing.push(`postmaster@${domain}`);
      } catch (error) {
        if (!(error instanceof TableError)) throw error;
      }
    }
    if (missing.length > 0) found.push(problem(missing, params.source(name)));
  }
  return found;
}

function isMissing(why: Undeliverable | undefined): boolean {
  return why?.kind === "unlisted" || why?.kind === "error";
}

function problem(names: readonly string[], at: Problem["at"]): Problem {
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : "";
  const text = `mail to ${names.slice(0, MOST_NAMES).join(", ")}${more} is refused: every domain must have a postmaster`;
  return { severity: "warning", at, text, hint: "add an alias for postmaster" };
}

/** The name of local domains is always taken; where there are aliases, one of them should be it. */
function checkLocal(params: Parameters, tables: TableOpener): readonly Problem[] {
  const at = params.source("alias_maps");
  const elsewhere = ["mailbox_transport", "fallback_transport", "luser_relay"] as const;
  if (at === undefined || elsewhere.some((name) => params.get(name) !== "")) return [];
  const aliases = openAliases(params, tables);
  if (aliases.length === 0 || !aliases.every(({ entries }) => entries !== undefined)) return [];
  if (aliases.some(({ entries }) => entries?.has("postmaster"))) return [];
  const text = "alias_maps has no postmaster: mail to the postmaster of local domains needs an account of that name";
  return [{ severity: "warning", at, text, hint: "add an alias for postmaster" }];
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
