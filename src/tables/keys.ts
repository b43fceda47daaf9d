/** tables/keys.ts: which keys are asked, in which order, for an address, a host or a domain (postfix.md §5.8). The full key
 *  always comes first, and tables without partial keys (regexp, cidr …) are asked for that one only: lookupFirst(). */
import type { Awaitable } from "../base/awaitable.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import type { LookupTrace } from "./lookup-trace.ts";
import type { LookupTable } from "./table.ts";

export interface KeyOptions {
  /** $recipient_delimiter: any of its characters separates an extension; "" for none. */
  readonly delimiter: string;
  /** The table's name stands in $parent_domain_matches_subdomains: `b.c` matches `a.b.c`; else `.b.c` is asked. */
  readonly parentMatches?: boolean;
  /** The domain is $myorigin, in $mydestination, or one of our own address literals. */
  readonly localDomain?: boolean;
}

export interface Hit {
  readonly key: string;
  readonly value: string;
}

/** The first of `keys` that the table knows. A promise only if the table gives promises; throws or rejects TableError. */
export function lookupFirst(
  table: LookupTable,
  keys: Iterable<string>,
  trace?: LookupTrace,
): Hit | undefined | Promise<Hit | undefined> {
  return ask(table, keys[Symbol.iterator](), trace);
}

function ask(
  table: LookupTable,
  keys: Iterator<string>,
  trace: LookupTrace | undefined,
): Hit | undefined | Promise<Hit | undefined> {
  for (let next = keys.next(); !next.done; next = keys.next()) {
    const key = next.value;
    const answer = table.get(key);
    if (answer instanceof Promise) {
      return answer.then((value) => {
        trace?.lookup(table.ref, key, value);
        if (value !== undefined) return { key, value };
        return table.partialKeys ? ask(table, keys, trace) : undefined;
      });
    }
    trace?.lookup(table.ref, key, answer);
    if (answer !== undefined) return { key, value: answer };
    if (!table.partialKeys) return undefined;
  }
  return undefined;
}

/** Each key is asked of every table before the next key, as maps_find(3postfix) does: a whole address in the last table comes
 *  before a domain in the first. Tables without partial keys are asked for the first key only. A promise only if a table
 *  gives promises; throws or rejects TableError. */
export function lookupTables(
  tables: readonly LookupTable[],
  keys: Iterable<string>,
  trace?: LookupTrace,
): Awaitable<Hit | undefined> {
  if (tables.length === 0) return undefined; // most lists are empty, and the keys need not be made
  return firstHit(questions(tables, keys), trace);
}

interface Question {
  readonly table: LookupTable;
  readonly key: string;
}

function* questions(tables: readonly LookupTable[], keys: Iterable<string>): Generator<Question, undefined> {
  let whole = true;
  for (const key of keys) {
    for (const table of tables) if (whole || table.partialKeys) yield { table, key };
    whole = false;
  }
}

function firstHit(asked: Iterator<Question, undefined>, trace: LookupTrace | undefined): Awaitable<Hit | undefined> {
  for (let next = asked.next(); !next.done; next = asked.next()) {
    const { table, key } = next.value;
    const answer = table.get(key);
    if (answer instanceof Promise) {
      return answer.then((value) => {
        trace?.lookup(table.ref, key, value);
        return value === undefined ? firstHit(asked, trace) : { key, value };
      });
    }
    trace?.lookup(table.ref, key, answer);
    if (answer !== undefined) return { key, value: answer };
  }
  return undefined;
}

/** Local part without extension and the extension with its delimiter; undefined if there is none. split_addr(3postfix). */
export function splitExtension(local: string, delimiter: string): { base: string; extension: string } | undefined {
  if (delimiter === "" || /^(?:postmaster|mailer-daemon|double-bounce)$/i.test(local)) return undefined;
  // owner_request_special: with "-" as delimiter, mailing list names are no extensions.
  if (delimiter.includes("-") && (/^owner-/i.test(local) || /-request$/i.test(local))) return undefined;
  for (let i = 1; i < local.length; i++) {
    if (delimiter.includes(local.charAt(i))) return { base: local.slice(0, i), extension: local.slice(i) };
  }
  return undefined;
}

/** access(5), host name or HELO name: the name, then its parents as b.c or .b.c. */
export function* hostKeys(name: string, options: { readonly parentMatches?: boolean }): Generator<string> {
  yield name;
  if (!name.startsWith("[")) yield* parents(name, options.parentMatches === true);
}

/** canonical, virtual_alias, login, relocated, bcc maps: user+ext@dom, user@dom, then bare if local, then @dom. */
export function* mailAddrFindKeys(address: Address, options: KeyOptions): Generator<string> {
  const { locals, domain } = parts(address, options);
  if (domain === undefined) {
    yield* locals;
    return;
  }
  for (const local of locals) yield `${local}@${domain}`;
  if (options.localDomain) yield* locals;
  yield `@${domain}`;
}

/** local_recipient_maps, virtual_mailbox_maps, relay_recipient_maps: user+ext@dom, user@dom, user+ext, user, @dom. */
export function mailboxKeys(address: Address, options: KeyOptions): Generator<string> {
  return mailAddrFindKeys(address, { ...options, localDomain: true });
}

/** transport(5): user+ext@dom, user@dom, dom, parents (with dot unless transport_maps is a parent list), `*`. */
export function* transportKeys(address: Address, options: KeyOptions): Generator<string> {
  const { locals, domain } = parts(address, options);
  for (const local of locals) yield domain === undefined ? local : `${local}@${domain}`;
  if (domain !== undefined) yield* hostKeys(domain, options);
  yield "*";
}

/** sender_dependent_*_maps: user+ext@dom, user@dom, @dom; the null sender is asked as `<>`. */
export function* senderKeys(address: Address, options: KeyOptions): Generator<string> {
  if (address === "") yield "<>";
  else yield* mailAddrFindKeys(address, { ...options, localDomain: false });
}

function* parents(name: string, parentMatches: boolean): Generator<string> {
  for (let dot = name.indexOf(".", 1); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    const parent = name.slice(parentMatches ? dot + 1 : dot);
    if (parent !== "" && parent !== ".") yield parent;
  }
}

/** The local part, then the one without extension. */
function parts(address: Address, { delimiter }: KeyOptions): { locals: readonly string[]; domain: string | undefined } {
  const local = localPartOf(address);
  const base = splitExtension(local, delimiter)?.base;
  return { locals: base === undefined ? [local] : [local, base], domain: domainOf(address) };
}
