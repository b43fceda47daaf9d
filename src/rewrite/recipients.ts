/** rewrite/recipients.ts: which addresses exist: the recipient table of each address class (LOCAL_RECIPIENT_README).
 *  Says only whether an address is listed; what becomes of one that is not is access/'s business. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import { lookupTables, mailAddrFindKeys, mailboxKeys } from "../tables/keys.ts";
import type { LookupTrace } from "../tables/lookup-trace.ts";
import type { LookupTable, TableOpener } from "../tables/table.ts";
import type { AddressClass } from "./resolve.ts";

/** Postfix's names, as they stand in "User unknown in %s table". */
const TABLE_NAMES = {
  local: "local recipient",
  relay: "relay recipient",
  virtualAlias: "virtual alias",
  virtualMailbox: "virtual mailbox",
} as const;

/** An address that has been resolved. */
export interface ResolvedAddress {
  readonly address: Address;
  readonly addressClass: AddressClass;
}

export interface RecipientTables {
  /** True if an alias or canonical table names the address: where it leads is found out later. */
  isMapped(resolved: ResolvedAddress, who: "sender" | "recipient", trace?: LookupTrace): Awaitable<boolean>;
  /** The table that should list the address and does not; undefined if it is listed or there is nothing to check. */
  unlistedIn(resolved: ResolvedAddress, trace?: LookupTrace): Awaitable<string | undefined>;
}

/** Opens the recipient tables of one scope. */
export function createRecipientTables(params: Parameters, tables: TableOpener): RecipientTables {
  const delimiter = params.get("recipient_delimiter");
  const open = (refs: readonly string[]) => refs.map((ref) => tables.open(ref));
  const sender = open(params.get("sender_canonical_maps"));
  const mapped = [
    ...open(params.get("recipient_canonical_maps")),
    ...open(params.get("canonical_maps")),
    ...open(params.get("virtual_alias_maps")),
  ];
  const byClass = {
    local: openLocalRecipients(params, tables),
    relay: open(params.get("relay_recipient_maps")),
    virtualMailbox: open(params.get("virtual_mailbox_maps")),
  };
  const checked = { local: params.get("local_recipient_maps").length > 0 };
  const reserved = new Set(["postmaster", "mailer-daemon"]);
  reserved.add((params.text("double_bounce_sender") || "double-bounce").toLowerCase());
  return {
    isMapped(resolved, who, trace) {
      const options = { delimiter, localDomain: isLocalDomain(resolved, params) };
      const asked = who === "sender" ? [...mapped, ...sender] : mapped;
      const keys = mailAddrFindKeys(resolved.address, options);
      return whenKnown(lookupTables(asked, keys, trace), (hit) => hit !== undefined);
    },
    unlistedIn({ address, addressClass }, trace) {
      if (addressClass === "default") return undefined;
      if (addressClass === "virtualAlias") return TABLE_NAMES.virtualAlias;
      // RFC 5321 §4.5.1 for postmaster; bounces come from the others.
      if (addressClass === "local" && reserved.has(localPartOf(address).toLowerCase())) return undefined;
      const own = byClass[addressClass];
      if (addressClass === "local" ? !checked.local : own.length === 0) return undefined;
      const listed = lookupTables(own, mailboxKeys(address, { delimiter }), trace);
      return whenKnown(listed, (hit) => (hit ? undefined : TABLE_NAMES[addressClass]));
    },
  };
}

/** Whether mail_addr_find(3postfix) looks up the bare local part too. */
export function isLocalDomain({ address, addressClass }: ResolvedAddress, params: Parameters): boolean {
  return addressClass === "local" || plainDomain(address) === params.get("myorigin").toLowerCase();
}

function openLocalRecipients(params: Parameters, tables: TableOpener): readonly LookupTable[] {
  const viaMacro = /\$[({]?alias_maps\b/.test(params.unexpanded("local_recipient_maps") ?? "");
  const refs = params.get("local_recipient_maps");
  return viaMacro ? openOptional(refs, params, tables) : refs.map((ref) => tables.open(ref));
}

/** The tables of alias_maps. */
export function openAliases(params: Parameters, tables: TableOpener): readonly LookupTable[] {
  return openOptional(params.get("alias_maps"), params, tables);
}

/** A table that only the default of alias_maps names, and that is not there, is skipped: most hosts have no NIS and many no
 *  /etc/aliases. What the operator wrote must work. */
function openOptional(refs: readonly string[], params: Parameters, tables: TableOpener): readonly LookupTable[] {
  const byDefault = params.source("alias_maps") === undefined;
  const optional = new Set(byDefault ? params.get("alias_maps") : []);
  return refs
    .map((ref) => tables.open(ref, optional.has(ref) ? "optional" : undefined))
    .filter((table) => table.problem === undefined || !optional.has(table.ref));
}

/** The domain of an address in lower case, without final dot; "" if there is none. */
export function plainDomain(address: Address): string {
  return (domainOf(address) ?? "").toLowerCase().replace(/\.$/, "");
}
