/** tables/pattern-list.ts: Postfix's pattern lists (match_list, postfix.md §5.4): `!pattern`, `/file`, `type:table`,
 *  networks, names, `.domain`. Compiled once; the first match decides, no match is false. An item that cannot be used is
 *  reported and throws TableError when the list comes to it, so a broken list refuses instead of guessing. */
import { type IpAddress, type Network, parseAddress, parseNetwork } from "../base/cidr.ts";
import { ParameterError, splitList } from "../config/declare.ts";
import { hostKeys, lookupFirst } from "./keys.ts";
import { sourceLines } from "./source-lines.ts";
import { type FileSource, type LookupTable, TableError, type TableOpener } from "./table.ts";

export interface ListOptions {
  readonly opener: TableOpener;
  /** Where `/file` items are read; the opener's own source if not given. Without either, such an item is refused. */
  readonly files?: FileSource | undefined;
  /** The list stands in $parent_domain_matches_subdomains: `b.c` matches `a.b.c`, and `.b.c` matches nothing. */
  readonly parentMatches?: boolean;
}

/** mynetworks and its like: matches by address and, if given, by verified host name. */
export interface AddressList {
  /** Synchronous unless an asynchronous table is asked. Throws or rejects TableError. */
  matches(address: string, name?: string): boolean | Promise<boolean>;
  /** The item that decides; undefined: none matches. Otherwise as matches(). */
  find(address: string, name?: string): ListMatch | undefined | Promise<ListMatch | undefined>;
  /** What is wrong with the items, one text each. */
  readonly problems: readonly string[];
  /** All items in order, those of files too, for proof. */
  readonly patterns: readonly ListMatch[];
}

/** An item that matches, and whether that means yes. */
export interface ListMatch {
  /** As written, with its `!`; host names that stand side by side are one item, named by the first. */
  readonly pattern: string;
  readonly verdict: boolean;
}

/** relay_domains, mydestination and their like; case does not matter. */
export interface DomainList {
  /** Synchronous unless an asynchronous table is asked. Throws or rejects TableError. */
  matches(domain: string): boolean | Promise<boolean>;
  readonly problems: readonly string[];
}

type ListKind = "address" | "domain" | "exact";

/** What is asked of a list. `name` is in lower case. */
interface Subject {
  readonly name: string | undefined;
  readonly address: IpAddress | undefined;
  readonly addressText: string | undefined;
}

type Matcher = (subject: Subject) => boolean | Promise<boolean>;

interface Entry extends ListMatch {
  readonly matches: Matcher;
}

/** A file that includes a file that includes … */
const MAX_DEPTH = 10;
/** Of patterns in all, files included. */
const MAX_PATTERNS = 1_000_000;

/** Networks, addresses, host names, tables asked by address and by name. */
export function compileAddressList(items: readonly string[], options: ListOptions): AddressList {
  const { entries, problems } = compile(items, "address", options);
  const find: AddressList["find"] = (address, name) =>
    firstMatch(entries, 0, {
      name: name?.toLowerCase(),
      address: parseAddress(address),
      addressText: address.toLowerCase(),
    });
  return { problems, patterns: entries, find, matches: (address, name) => isYes(find(address, name)) };
}

/** Domain names with `.domain` or parent matching, as in relay_domains. */
export function compileDomainList(items: readonly string[], options: ListOptions): DomainList {
  return domainList(compile(items, "domain", options));
}

/** Names that match as they are and never by a parent, as in mydestination and virtual_*_domains. */
export function compileNameList(items: readonly string[], options: ListOptions): DomainList {
  return domainList(compile(items, "exact", options));
}

function domainList({ entries, problems }: Compiled): DomainList {
  return {
    problems,
    matches: (domain) =>
      isYes(firstMatch(entries, 0, { name: domain.toLowerCase(), address: undefined, addressText: undefined })),
  };
}

type Match = ListMatch | undefined;

function isYes(found: Match | Promise<Match>): boolean | Promise<boolean> {
  return found instanceof Promise ? found.then((match) => match?.verdict === true) : found?.verdict === true;
}

function firstMatch(entries: readonly Entry[], from: number, subject: Subject): Match | Promise<Match> {
  for (let i = from; i < entries.length; i++) {
    const entry = entries[i];
    const hit = entry?.matches(subject);
    if (hit instanceof Promise) {
      return hit.then((found) => (found ? entry : firstMatch(entries, i + 1, subject)));
    }
    if (hit) return entry;
  }
  return undefined;
}

interface Compiled {
  readonly entries: readonly Entry[];
  readonly problems: readonly string[];
}

function compile(items: readonly string[], kind: ListKind, options: ListOptions): Compiled {
  const compiler = new ListCompiler(kind, options);
  for (const item of items) compiler.add(item, { negated: false, depth: 0 });
  return { entries: compiler.entries, problems: compiler.problems };
}

/** Collects entries; neighbouring names of one verdict share a Set, so a file of many domains costs one look. */
class ListCompiler {
  readonly entries: Entry[] = [];
  readonly problems: string[] = [];
  readonly #kind: ListKind;
  readonly #options: ListOptions;
  #names: { readonly set: Set<string>; readonly verdict: boolean } | undefined;
  #patterns = 0;

  constructor(kind: ListKind, options: ListOptions) {
    this.#kind = kind;
    this.#options = options;
  }

  add(item: string, { negated, depth }: { readonly negated: boolean; readonly depth: number }): void {
    const bangs = /^!*/.exec(item)?.[0].length ?? 0;
    const pattern = item.slice(bangs);
    const verdict = (bangs % 2 === 1) === negated;
    if (++this.#patterns > MAX_PATTERNS) this.#refuse(pattern, verdict, "too many patterns");
    else if (pattern === "") this.#refuse(item, verdict, 'no pattern after "!"');
    else if (pattern.startsWith("/")) this.#include(pattern, verdict, depth);
    else if (this.#kind === "address" && this.#addNetwork(pattern, verdict)) return;
    else if (pattern.includes(":") && !pattern.startsWith("[")) this.#addTable(pattern, verdict);
    else this.#addName(pattern.toLowerCase(), verdict);
  }

  /** True if the pattern is an address pattern, good or bad. */
  #addNetwork(pattern: string, verdict: boolean): boolean {
    const result = parseNetwork(pattern);
    if (result.kind === "network") {
      this.#push(pattern, verdict, networkMatcher(result.network));
      return true;
    }
    const looksNumeric = /^(?:\[|[\d.]+$)/.test(pattern) || (pattern.includes("/") && !/^[a-z]+:/i.test(pattern));
    if (looksNumeric || /^[\da-f]*:[\da-f:.]*\/\d+$/i.test(pattern)) {
      this.#refuse(pattern, verdict, result.text);
      return true;
    }
    return false;
  }

  #addTable(ref: string, verdict: boolean): void {
    const table = this.#options.opener.open(ref);
    if (table.problem !== undefined) this.problems.push(`${ref}: ${table.problem}`);
    this.#push(ref, verdict, tableMatcher(table, this.#kind, this.#options));
  }

  #addName(name: string, verdict: boolean): void {
    if (this.#names?.verdict === verdict) {
      this.#names.set.add(name);
      return;
    }
    const set = new Set([name]);
    this.#push(name, verdict, nameMatcher(set, this.#kind, this.#options.parentMatches === true));
    this.#names = { set, verdict };
  }

  #include(path: string, verdict: boolean, depth: number): void {
    if (depth >= MAX_DEPTH) {
      this.#refuse(path, verdict, `${path}: files include each other too deeply`);
      return;
    }
    const files = this.#options.files ?? this.#options.opener.files;
    try {
      if (!files) throw new TableError("files cannot be read here");
      for (const { text } of sourceLines(files.read(path))) {
        for (const item of splitList(text, path)) this.add(item, { negated: !verdict, depth: depth + 1 });
      }
    } catch (cause) {
      if (!(cause instanceof TableError || cause instanceof ParameterError)) throw cause;
      this.#refuse(path, verdict, `${path}: ${cause.message}`);
    }
  }

  #refuse(pattern: string, verdict: boolean, why: string): void {
    this.problems.push(why);
    this.#push(pattern, verdict, () => {
      throw new TableError(`Cannot match "${pattern}": ${why}`);
    });
  }

  #push(pattern: string, verdict: boolean, matches: Matcher): void {
    this.#names = undefined;
    this.entries.push({ pattern: verdict ? pattern : `!${pattern}`, verdict, matches });
  }
}

function networkMatcher(network: Network): Matcher {
  return ({ address }) => address !== undefined && network.matches(address);
}

function nameMatcher(names: ReadonlySet<string>, kind: ListKind, parentMatches: boolean): Matcher {
  return ({ name }) => {
    if (name === undefined) return false;
    if (names.has(name)) return true;
    if (kind === "exact") return false;
    for (let dot = name.indexOf(".", 1); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      if (names.has(name.slice(parentMatches ? dot + 1 : dot))) return true;
    }
    return false;
  };
}

/** A table matches when it has any value: the address as a whole, the name and its parents. */
function tableMatcher(table: LookupTable, kind: ListKind, options: ListOptions): Matcher {
  const byName = (name: string) => {
    const hit = lookupFirst(table, kind === "exact" ? [name] : hostKeys(name, options));
    return hit instanceof Promise ? hit.then((found) => found !== undefined) : hit !== undefined;
  };
  return ({ name, addressText }) => {
    const hit = name === undefined ? false : byName(name);
    if (addressText === undefined) return hit;
    const byAddress = () => {
      const answer = table.get(addressText);
      return answer instanceof Promise ? answer.then((value) => value !== undefined) : answer !== undefined;
    };
    if (hit instanceof Promise) return hit.then((found) => found || byAddress());
    return hit || byAddress();
  };
}
