/** scripts/import-cycles.ts: finds files that import each other, by Tarjan's strongly connected components, and shows
 *  for each group one shortest round trip. */
import type { SourceImport } from "./imports.ts";
import type { Finding } from "./source-tree.ts";

type Imports = ReadonlyMap<string, readonly SourceImport[]>;

/** One finding per group of files that cannot be read without each other. */
export function findCycles(imports: Imports): Finding[] {
  return components(imports).map((group) => {
    const [first = ""] = [...group].sort();
    const trip = roundTrip(imports, first, group);
    const step = imports.get(first)?.find((found) => found.target === trip[1]);
    const message = `import cycle of ${group.size} files: ${trip.join(" → ")}`;
    return { file: first, line: step?.line ?? 1, level: "error", message };
  });
}

/** Groups of two or more files, and single files that import themselves. */
function components(imports: Imports): Set<string>[] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const groups: Set<string>[] = [];

  const visit = (file: string): void => {
    order.set(file, order.size);
    low.set(file, order.size - 1);
    const base = stack.push(file) - 1;
    for (const next of targets(imports, file)) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(file, Math.min(low.get(file) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(file) !== order.get(file)) return;
    const group = new Set(stack.splice(base));
    if (group.size > 1 || targets(imports, file).includes(file)) groups.push(group);
  };

  for (const file of imports.keys()) if (!order.has(file)) visit(file);
  return groups;
}

function targets(imports: Imports, file: string): string[] {
  return (imports.get(file) ?? []).flatMap(({ target }) => (target && imports.has(target) ? [target] : []));
}

/** Shortest way from a file back to itself inside its group. */
function roundTrip(imports: Imports, start: string, group: ReadonlySet<string>): string[] {
  const ways: string[][] = [[start]];
  const seen = new Set<string>();
  for (const way of ways) {
    for (const next of targets(imports, way.at(-1) ?? start)) {
      if (next === start) return [...way, start];
      if (seen.has(next) || !group.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return [start];
}
