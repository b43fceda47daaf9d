/** config/compare-services.ts: which services of master.cf a new configuration adds, drops or runs otherwise. Services are the
 *  same if they have the same name, or listen on the same port under another. What has no effect here (chroot, wakeup, the
 *  lines of Postfix's internal programs) is no change. Their `-o` options are compared as values: compare-parameters.ts. */
import { isInternalCommand } from "./check-services.ts";
import { parseInetService } from "./inet-name.ts";
import { servicesText } from "./services-file.ts";
import type { ConfigSnapshot, ServiceEntry } from "./snapshot.ts";

export interface ServicePair {
  readonly before: ServiceEntry;
  readonly after: ServiceEntry;
}

/** One field of a line; the values as an operator writes them. */
export interface FieldChange {
  readonly field: "name" | "process limit" | "command";
  readonly before: string;
  readonly after: string;
}

export interface ServiceComparison {
  readonly added: readonly ServiceEntry[];
  readonly removed: readonly ServiceEntry[];
  /** The same service in both, changed or not. */
  readonly pairs: readonly ServicePair[];
  readonly changed: readonly { readonly pair: ServicePair; readonly fields: readonly FieldChange[] }[];
}

export function compareServices(before: ConfigSnapshot, after: ConfigSnapshot): ServiceComparison {
  const removed = new Set(before.services.filter(({ command }) => !isInternalCommand(command)));
  const added = new Set(after.services.filter(({ command }) => !isInternalCommand(command)));
  const pairs: ServicePair[] = [];
  for (const keyOf of [nameKey, portKey]) {
    const known = new Map([...removed].map((service) => [keyOf(service, before), service]));
    for (const service of added) {
      const key = keyOf(service, after);
      const same = known.get(key);
      if (same === undefined || key === undefined) continue;
      pairs.push({ before: same, after: service });
      removed.delete(same);
      added.delete(service);
      known.delete(key);
    }
  }
  const order = new Map(after.services.map((service, i) => [service, i]));
  pairs.sort((a, b) => (order.get(a.after) ?? 0) - (order.get(b.after) ?? 0));
  const changed = pairs
    .map((pair) => ({ pair, fields: compareFields(pair) }))
    .filter(({ fields }) => fields.length > 0);
  return { added: [...added], removed: [...removed], pairs, changed };
}

function nameKey({ name, type }: ServiceEntry): string {
  return `${name}/${type}`;
}

function portKey({ name, type }: ServiceEntry, snapshot: ConfigSnapshot): string | undefined {
  const inet = type === "inet" ? parseInetService(name, servicesText(snapshot)) : undefined;
  return inet && `${inet.host ?? "*"}:${inet.port}`;
}

function compareFields({ before, after }: ServicePair): FieldChange[] {
  const fields: FieldChange[] = [];
  const compare = (field: FieldChange["field"], read: (service: ServiceEntry) => string) => {
    if (read(before) !== read(after)) fields.push({ field, before: read(before), after: read(after) });
  };
  compare("name", ({ name }) => name);
  compare("process limit", ({ maxproc }) => (maxproc === undefined || maxproc === 0 ? "none" : String(maxproc)));
  compare("command", ({ command, args }) => [command, ...args].join(" "));
  return fields;
}
