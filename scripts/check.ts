/** scripts/check.ts: everything that can be checked without running the server, side by side: format and lint, types,
 *  import layers, sizes, generated docs, unused code. One line per step as it ends, then all findings.
 *  Exit 0: nothing to complain about; 1: findings. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./source-tree.ts";

interface Step {
  readonly name: string;
  /** Program and arguments; `node` is this Node.js, other names are looked up in node_modules/.bin. */
  readonly command: readonly string[];
}

interface Outcome {
  readonly step: Step;
  readonly passed: boolean;
  readonly seconds: number;
  readonly output: string;
}

const STEPS: readonly Step[] = [
  { name: "imports", command: ["node", "scripts/check-imports.ts"] },
  { name: "sizes", command: ["node", "scripts/check-sizes.ts"] },
  { name: "docs", command: ["node", "scripts/generate-docs.ts", "--check"] },
  {
    name: "biome",
    command: ["biome", "check", "--colors=off", "--diagnostic-level=error", "--max-diagnostics=200", "."],
  },
  { name: "types", command: ["tsc", "--noEmit", "--pretty", "false", "-p", "."] },
  { name: "knip", command: ["knip", "--no-progress"] },
];

/** A step that hangs is a finding, not a hanging check. */
const STEP_TIMEOUT_MS = 180_000;

function runStep(step: Step): Promise<Outcome> {
  const [name = "node", ...args] = step.command;
  const program = name === "node" ? process.execPath : path.join(ROOT, "node_modules", ".bin", name);
  const started = performance.now();
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], timeout: STEP_TIMEOUT_MS });
    const end = (passed: boolean, note = ""): void => {
      const seconds = (performance.now() - started) / 1000;
      resolve({ step, passed, seconds, output: Buffer.concat(chunks).toString("utf8") + note });
    };
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", (error) => end(false, `cannot run ${program}: ${error.message}\n`));
    child.on("close", (code, signal) => end(code === 0, signal ? `ended by ${signal}\n` : ""));
  });
}

function lineFor(outcome: Outcome): string {
  const mark = outcome.passed ? "ok  " : "FAIL";
  const summary = /(\d+) errors, (\d+) warnings\s*$/.exec(outcome.output)?.[0].trim();
  return `${mark} ${outcome.step.name.padEnd(8)} ${outcome.seconds.toFixed(1).padStart(5)} s${summary ? `  ${summary}` : ""}`;
}

async function check(): Promise<number> {
  if (!existsSync(path.join(ROOT, "node_modules", ".bin", "tsc"))) {
    console.error("check: the dependencies are not installed; run: npm run check");
    return 1;
  }
  const running = STEPS.map(async (step) => {
    const outcome = await runStep(step);
    console.log(lineFor(outcome));
    return outcome;
  });
  const failed = (await Promise.all(running)).filter((outcome) => !outcome.passed);
  for (const outcome of failed) {
    console.log(`\n--- ${outcome.step.name}: ${outcome.step.command.join(" ")}\n${outcome.output.trimEnd()}`);
  }
  return failed.length > 0 ? 1 : 0;
}

process.exitCode = await check();
