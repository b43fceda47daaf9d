/** smtpd/discarded-keywords.ts: EHLO keywords that are not announced to a client, and whose commands and parameters it may
 *  not use: smtpd_discard_ehlo_keywords, or what smtpd_discard_ehlo_keyword_address_maps has for its address. */
import { splitList } from "../config/declare.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { TableError, type TableOpener } from "../tables/table.ts";

export interface DiscardedKeywords {
  /** Upper case. */
  readonly keywords: ReadonlySet<string>;
  /** Nothing is logged. */
  readonly silent: boolean;
}

/** By client address. undefined: a table cannot be asked, and nobody knows what this client may use. */
export type DiscardedByAddress = (address: string) => Promise<DiscardedKeywords | undefined>;

/** `silent-discard` is no keyword. */
export function discardedOf(words: readonly string[]): DiscardedKeywords {
  const keywords = new Set(words.map((word) => word.toUpperCase()));
  const silent = keywords.delete("SILENT-DISCARD");
  return { keywords, silent };
}

/** undefined: there are no such tables. */
export function createDiscardedByAddress(
  params: Parameters,
  { tables, log }: { readonly tables: TableOpener; readonly log: Log },
): DiscardedByAddress | undefined {
  const name = "smtpd_discard_ehlo_keyword_address_maps";
  const maps = params.get(name).map((ref) => tables.open(ref));
  if (maps.length === 0) return undefined;
  const otherwise = discardedOf(params.get("smtpd_discard_ehlo_keywords"));
  return async (address) => {
    try {
      for (const map of maps) {
        const found = await map.get(address);
        if (found !== undefined) return discardedOf(splitList(found, name));
      }
      return otherwise;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      log.warning(`${name}: ${error.message}`);
      return undefined;
    }
  };
}
