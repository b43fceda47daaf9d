/** tables/key-expansion.ts: `%s %u %d %S %U %D %1…%9 %%` in queries, filters and result formats, as pgsql_table(5),
 *  mysql_table(5), ldap_table(5), sqlite_table(5) and memcache_table(5) share them. A template is split once into literal and
 *  key pieces; a caller binds or escapes the key pieces, so no key is ever pasted into a query as it is. */
import { TableError } from "./table.ts";

type KeyLetter = "s" | "u" | "d" | "S" | "U" | "D" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

export type TemplatePart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "key"; readonly letter: KeyLetter };

export interface Template {
  readonly parts: readonly TemplatePart[];
  /** A lower-case `%d` or (in a query) `%D` or `%1`…: without a domain there is no expansion. */
  readonly needs: {
    readonly user: boolean;
    readonly domain: boolean;
    readonly keyUser: boolean;
    readonly keyDomain: boolean;
    /** The highest `%n`. */
    readonly labels: number;
  };
}

/** An expanded part: literal text of the operator, or text that came from a client. */
export interface Piece {
  readonly kind: "text" | "key";
  readonly text: string;
}

/** Throws TableError for `%` before anything else; `%%` is a percent sign. */
export function parseTemplate(text: string, where: string): Template {
  const parts: TemplatePart[] = [];
  const letters = new Set<string>();
  let literal = "";
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (c !== "%") {
      literal += c;
      continue;
    }
    const letter = text.charAt(++i);
    if (letter === "%") {
      literal += "%";
      continue;
    }
    if (!isKeyLetter(letter)) throw new TableError(`${where}: invalid template "${text}": "%${letter}"`);
    if (literal !== "") parts.push({ kind: "text", text: literal });
    literal = "";
    parts.push({ kind: "key", letter });
    letters.add(letter);
  }
  if (literal !== "") parts.push({ kind: "text", text: literal });
  const labels = Math.max(0, ...[...letters].filter((c) => /\d/.test(c)).map(Number));
  return {
    parts,
    needs: {
      user: letters.has("u"),
      domain: letters.has("d"),
      keyUser: letters.has("U"),
      keyDomain: letters.has("D") || labels > 0,
      labels,
    },
  };
}

function isKeyLetter(c: string): c is KeyLetter {
  return /^[sudSUD1-9]$/.test(c);
}

/** The pieces of a query for this key; undefined: the query is suppressed, which means not found. Of a key without "@",
 *  `%u` is all of it. Folding is the caller's. */
export function expandQuery(template: Template, key: string): readonly Piece[] | undefined {
  if (key === "") return undefined;
  const { needs, parts } = template;
  const { user, domain } = splitKey(key);
  if ((needs.domain || needs.keyDomain) && domain === "") return undefined;
  if ((needs.user || needs.keyUser) && user === "") return undefined;
  const labels = labelsOf(domain, needs.labels);
  if (!labels) return undefined;
  return parts.map((part): Piece => {
    if (part.kind === "text") return part;
    return { kind: "key", text: partValue(part.letter.toLowerCase(), { whole: key, user, domain, labels }) };
  });
}

/** One result put through `result_format`: `%s %u %d` are of the result, `%S %U %D %1…` of the key. Undefined: the result has
 *  no such part and is dropped, as an empty one is. */
function expandResult(template: Template, value: string, key: string): string | undefined {
  if (value === "") return undefined;
  const { needs, parts } = template;
  const result = splitKey(value);
  const asked = splitKey(key);
  if (needs.domain && result.domain === "") return undefined;
  if (needs.user && result.user === "") return undefined;
  if (needs.keyDomain && asked.domain === "") return undefined;
  const labels = labelsOf(asked.domain, needs.labels);
  if (!labels) return undefined;
  return parts
    .map((part) => {
      if (part.kind === "text") return part.text;
      const lower = part.letter.toLowerCase();
      const ofResult = part.letter === lower && !/\d/.test(lower);
      return partValue(lower, ofResult ? { whole: value, ...result, labels } : { whole: key, ...asked, labels });
    })
    .join("");
}

export interface ResultRules {
  /** Of `result_format`. */
  readonly format: Template;
  /** expansion_limit; 0: none. */
  readonly limit: number;
}

/** All results of one lookup, joined by ",". Undefined: not found. Throws TableError beyond the limit. */
export function joinResults(
  rules: ResultRules,
  values: Iterable<string | null | undefined>,
  key: string,
): string | undefined {
  const found: string[] = [];
  for (const value of values) {
    const text = value === null || value === undefined ? undefined : expandResult(rules.format, value, key);
    if (text === undefined) continue;
    found.push(text);
    if (rules.limit > 0 && found.length > rules.limit) {
      throw new TableError(`expansion limit exceeded for key: '${key}'`);
    }
  }
  return found.length === 0 || found.every((text) => text === "") ? undefined : found.join(",");
}

/** With `domain = …` set only `user@domain` keys of a listed domain are looked up: no bare users, no domains, no `@domain`. */
export function admitsKey(
  domains: { matches(domain: string): boolean | Promise<boolean> } | undefined,
  key: string,
): boolean | Promise<boolean> {
  if (!domains) return true;
  const { user, domain } = splitKey(key);
  return key.includes("@") && user !== "" && domain !== "" && domains.matches(domain);
}

/** Local part and domain at the last "@"; without "@" all of it is the user. */
function splitKey(key: string): { readonly user: string; readonly domain: string } {
  const at = key.lastIndexOf("@");
  return at < 0 ? { user: key, domain: "" } : { user: key.slice(0, at), domain: key.slice(at + 1) };
}

/** Labels from the right; undefined if there are fewer than `needed` or one of those is empty. */
function labelsOf(domain: string, needed: number): readonly string[] | undefined {
  if (needed === 0) return [];
  const labels = domain.split(".").reverse();
  if (labels.length < needed || labels.slice(0, needed).includes("")) return undefined;
  return labels;
}

function partValue(
  letter: string,
  of: { readonly whole: string; readonly user: string; readonly domain: string; readonly labels: readonly string[] },
): string {
  if (letter === "s") return of.whole;
  if (letter === "u") return of.user;
  if (letter === "d") return of.domain;
  return of.labels[Number(letter) - 1] ?? "";
}
