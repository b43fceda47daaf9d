/** test/bench/main.ts: `npm run bench`: what is measured is named by the first word; without one, Postern beside Postfix. Exit 64: usage,
 *  69: programs are missing. */
import process from "node:process";
import { type BenchMode, lackOf, parseBench } from "./modes.ts";

const FILES: Readonly<Record<BenchMode, () => Promise<unknown>>> = {
  compare: () => import("./compare.ts"),
  cpu: () => import("./compare.ts"),
  queue: () => import("./queue.ts"),
  fairness: () => import("./fairness.ts"),
  soak: () => import("./soak.ts"),
  memory: () => import("./memory.ts"),
  signing: () => import("./signing.ts"),
};
const USAGE = 64;
const UNAVAILABLE = 69;

const command = parseBench(process.argv.slice(2));
if (command.kind === "usage") process.stdout.write(command.text);
else if (command.kind === "problem") end(command.text, USAGE);
else {
  const lack = lackOf(command.mode);
  if (lack === undefined) await FILES[command.mode]();
  else end(`${command.mode}: ${lack}`, UNAVAILABLE);
}

function end(why: string, code: number): void {
  process.stderr.write(`bench: ${why}\n`);
  process.exitCode = code;
}
