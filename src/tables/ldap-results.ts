/** tables/ldap-results.ts: from entries to values, ldap_table(5): which attributes count in an entry, and the names and URLs
 *  in special_result_attribute that lead to further entries. Knows no connection. */
import type { LdapEntry, LdapRequest } from "./ldap-link.ts";
import type { LdapResults } from "./ldap-settings.ts";
import { isLdapUrl, parseSearchUrl } from "./ldap-url.ts";
import { PeerError } from "./peer-pool.ts";

export interface CollectOptions {
  readonly plan: LdapResults;
  readonly search: (request: LdapRequest) => Promise<readonly LdapEntry[] | "noSuchObject">;
  readonly warn: (text: string) => void;
}

const MAX_VALUES = 100_000;
/** Groups that contain each other would otherwise be followed for as long as time allows. */
const MAX_SEARCHES = 10_000;

/** All values of `entries` and of what they lead to, in order. Rejects PeerError at a limit. */
export async function collectValues(
  entries: readonly LdapEntry[],
  options: CollectOptions,
): Promise<readonly string[]> {
  const walk = new Walk(options);
  await walk.visit(entries, 1);
  return walk.values;
}

class Walk {
  readonly values: string[] = [];
  readonly #options: CollectOptions;
  #searches = 0;

  constructor(options: CollectOptions) {
    this.#options = options;
  }

  async visit(entries: readonly LdapEntry[], depth: number): Promise<void> {
    const { plan } = this.#options;
    const has = (entry: LdapEntry, names: readonly string[]) =>
      entry.attributes.some(({ name }) => names.some((wanted) => isSubtype(wanted, name)));
    for (const entry of entries) {
      const terminal = has(entry, plan.terminal);
      const leaf = !has(entry, plan.special);
      for (const { name, values } of entry.attributes) {
        const kind = kindOf(plan, name);
        if (kind === "special" && !terminal) await this.#follow(values, name, depth);
        else if (counts(kind, { terminal, leaf })) this.#add(values);
      }
    }
  }

  #add(values: readonly string[]): void {
    if (this.values.length + values.length > MAX_VALUES) {
      throw new PeerError("refused", `the result has more than ${MAX_VALUES} values`);
    }
    this.values.push(...values);
  }

  async #follow(values: readonly string[], name: string, depth: number): Promise<void> {
    const { plan } = this.#options;
    if (depth >= plan.recursionLimit) {
      throw new PeerError(
        "refused",
        `Recursion limit exceeded for special attribute ${name}=${shown(values[0] ?? "")}`,
      );
    }
    for (const value of values) {
      const request = isLdapUrl(value) ? this.#urlRequest(value) : this.#nameRequest(value);
      if (request.attributes.length > 0) await this.#search(value, request, depth);
    }
  }

  async #search(value: string, request: LdapRequest, depth: number): Promise<void> {
    if (++this.#searches > MAX_SEARCHES) {
      throw new PeerError("refused", `the result needs more than ${MAX_SEARCHES} searches`);
    }
    const found = await this.#options.search(request);
    if (found === "noSuchObject") this.#options.warn(`DN ${shown(value)} not found, skipping`);
    else await this.visit(found, depth + 1);
  }

  #nameRequest(base: string): LdapRequest {
    return { base, scope: "base", filter: "(objectClass=*)", attributes: this.#options.plan.all };
  }

  /** The URL may ask for fewer attributes; of a name with and one without options the more specific one is asked for. */
  #urlRequest(text: string): LdapRequest {
    const url = parseSearchUrl(text);
    if (!url) throw new PeerError("refused", `malformed URL ${shown(text)}`);
    const { all } = this.#options.plan;
    const { base, scope, filter } = url;
    if (url.attributes.length === 0) return { base, scope, filter, attributes: all };
    const attributes = url.attributes.flatMap((theirs) =>
      all.flatMap((ours) => {
        if (isSubtype(theirs, ours)) return [ours];
        return isSubtype(ours, theirs) ? [theirs] : [];
      }),
    );
    return { base, scope, filter, attributes };
  }
}

type Kind = "terminal" | "leaf" | "regular" | "special";

function kindOf(plan: LdapResults, name: string): Kind | undefined {
  const kinds = ["terminal", "leaf", "regular", "special"] as const;
  return kinds.find((kind) => plan[kind].some((wanted) => isSubtype(wanted, name)));
}

/** In a terminal entry only terminal attributes count; leaf attributes only where no special one is. */
function counts(kind: Kind | undefined, entry: { readonly terminal: boolean; readonly leaf: boolean }): boolean {
  if (entry.terminal) return kind === "terminal";
  return kind === "regular" || (kind === "leaf" && entry.leaf);
}

/** `name` is `wanted`, perhaps with options (`cn;lang-de` is a `cn`). Names are case-insensitive. */
function isSubtype(wanted: string, name: string): boolean {
  const lower = name.toLowerCase();
  return lower === wanted.toLowerCase() || lower.startsWith(`${wanted.toLowerCase()};`);
}

function shown(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
}
