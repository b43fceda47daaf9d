/** test/bench/main.ts: `npm run bench`: what is measured is named by the first word; without one, Postern beside Postfix. */
import process from "node:process";

const MODES: ReadonlyMap<string, () => Promise<unknown>> = new Map([
  ["queue", () => import("./queue.ts")],
  ["fairness", () => import("./fairness.ts")],
  ["soak", () => import("./soak.ts")],
  ["memory", () => import("./memory.ts")],
  ["signing", () => import("./signing.ts")],
]);

const named = MODES.get(process.argv[2] ?? "");
if (named) process.argv.splice(2, 1);
await (named ?? (() => import("./compare.ts")))();
