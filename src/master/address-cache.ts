/** master/address-cache.ts: the record of address verification that all workers share. It stands beside the shards, where
 *  they may write; the name in address_verify_map is Postfix's, only whether it is empty counts. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../log/log.ts";
import { openStatusCache, type StatusCache } from "../tables/status-cache.ts";

const FILE = "address_verify.sqlite";

export interface AddressCache {
  /** Opens it at the first call. Throws if not even memory can be had. */
  open(): StatusCache;
  close(): void;
}

/** `directory`: that of the shards; undefined: in memory. A file that cannot be opened leaves the memory, with a warning. */
export function createAddressCache(directory: string | undefined, log: () => Log): AddressCache {
  let cache: StatusCache | undefined;
  const openFile = (): StatusCache => {
    if (directory === undefined) return openStatusCache(":memory:");
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return openStatusCache(join(directory, FILE));
    } catch (error) {
      log().warning(`${join(directory, FILE)}: ${(error as Error).message}; results are kept in memory`);
      return openStatusCache(":memory:");
    }
  };
  return {
    open: () => {
      cache ??= openFile();
      return cache;
    },
    close: () => {
      cache?.close();
      cache = undefined;
    },
  };
}
