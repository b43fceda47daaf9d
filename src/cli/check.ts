/** cli/check.ts: `postern check`: every problem of the configuration at once, compiler style; exit 1 on errors. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { formatProblem } from "../config/check.ts";
import { checkConfiguration } from "../master/check.ts";
import { type Command, EXIT } from "./terminal.ts";
import { VERSION } from "./version.ts";

export const runCheck: Command = async (_args, terminal) => {
  const problems = await checkConfiguration({
    configDirectory: resolve(terminal.configDirectory),
    hostname: hostname(),
    mailVersion: VERSION,
    readFile: async (path) => readFileSync(path),
    listDirectory: async (path) => readdirSync(path),
    modifiedMs: async (path) => statSync(path).mtimeMs,
  });
  for (const problem of problems) terminal.stdout(`${formatProblem(problem)}\n`);
  const errors = problems.filter((problem) => problem.severity === "error").length;
  // Of the C library, as all that cannot be opened is told.
  if (process.getuid?.() !== 0 && problems.some(({ text }) => text.includes(": Permission denied"))) {
    terminal.stdout("postern: check: you may not read all files; run it as root\n");
  }
  terminal.stdout(`postern: check: ${errors} errors, ${problems.length - errors} warnings\n`);
  return errors > 0 ? EXIT.problems : EXIT.done;
};
