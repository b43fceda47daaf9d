/** master/pinned.ts: parameters that only a start can change (queue_directory, postern_workers …) keep their value over a
 *  reload, so that a worker started later works on the same queue as its fellows; what was kept is said. */
import { scopeOf } from "../config/load.ts";
import { type ParameterName, REGISTRY } from "../config/registry.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";

export interface Pinned {
  readonly snapshot: ConfigSnapshot;
  /** Names whose new value waits for a stop and start. */
  readonly kept: readonly string[];
}

/** The next snapshot with the running one's values of such parameters. */
export function pinRestartParameters(running: ConfigSnapshot, next: ConfigSnapshot): Pinned {
  const before = scopeOf(running);
  const after = scopeOf(next);
  const kept = (Object.keys(REGISTRY) as ParameterName[]).filter((name) => {
    const declaration: { readonly restart?: boolean } = REGISTRY[name];
    return declaration.restart === true && before.text(name) !== after.text(name);
  });
  if (kept.length === 0) return { snapshot: next, kept };
  const pins = kept.map((name) => ({
    name,
    value: before.text(name).replaceAll("$", "$$$$"),
    at: before.source(name) ?? { file: "main.cf", line: 0 },
  }));
  const rest = next.mainCf.filter(({ name }) => !kept.includes(name as ParameterName));
  return { snapshot: { ...next, mainCf: [...rest, ...pins] }, kept };
}
