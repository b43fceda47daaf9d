/** config/check-cache.ts: destinations of connections to keep that are none: Postfix looks them up, here they are names. */
import { ParameterError } from "./parameters.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, Problem } from "./snapshot.ts";

/** Of main.cf and of each service that sets it itself, each place once. */
export function checkCacheDestinations(snapshot: ConfigSnapshot): Problem[] {
  const found = new Map<string, Problem>();
  for (const name of ["smtp_connection_cache_destinations", "lmtp_connection_cache_destinations"] as const) {
    for (const service of [undefined, ...snapshot.services]) {
      const params = scopeOf(snapshot, service);
      const at = params.source(name);
      for (const item of at === undefined ? [] : itemsOf(() => params.get(name))) {
        // A path may be a socket of LMTP; a socket is no destination of SMTP.
        const isName = name.startsWith("lmtp") ? !/^!|^[a-z]+:/.test(item) : !/^!|[:/]/.test(item);
        if (isName) continue;
        const text = `${name}: tables, files and exclusions have no effect: ${item}`;
        const hint = "name the domains and hosts themselves";
        found.set(`${at?.file}:${at?.line}:${text}`, { severity: "warning", at, text, hint });
      }
    }
  }
  return [...found.values()];
}

/** A value that cannot be read is reported by check-values.ts. */
function itemsOf(read: () => readonly string[]): readonly string[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParameterError) return [];
    throw error;
  }
}
