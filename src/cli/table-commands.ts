/** cli/table-commands.ts: `postern postmap`, `postalias` and `newaliases`, bound to this process's files and terminal. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { readConfiguration } from "./config-commands.ts";
import { runPostmap } from "./postmap.ts";
import type { PostmapIo, PostmapProgram } from "./postmap-run.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

export const postmap: Command = (args, terminal) => run("postmap", args, terminal);

export const postalias: Command = (args, terminal) => run("postalias", args, terminal);

/** newaliases(1): builds every table of $alias_database. */
export const newaliases: Command = async (args, terminal) => {
  if (args.length > 0) return failed(terminal, "newaliases", "it takes no arguments", EXIT.usage);
  const tables = (await parametersIn(terminal.configDirectory)).get("alias_database");
  return tables.length === 0 ? EXIT.done : run("postalias", ["--", ...tables], terminal);
};

function run(program: PostmapProgram, args: readonly string[], terminal: Terminal): Promise<number> {
  const io: PostmapIo = {
    stdin: terminal.stdin,
    stdout: terminal.stdout,
    stderr: terminal.stderr,
    workingDirectory: process.cwd(),
    environment: process.env,
    uid: process.geteuid?.() ?? -1,
    async parameters(directory) {
      if (directory !== undefined) return parametersIn(directory);
      // Most tables need no main.cf.
      const there = existsSync(join(terminal.configDirectory, "main.cf"));
      return there ? parametersIn(terminal.configDirectory) : undefined;
    },
  };
  return runPostmap(program, args, io);
}

/** Throws an Error with what is wrong with main.cf or master.cf. */
async function parametersIn(directory: string): Promise<Parameters> {
  const { snapshot, problems } = await readConfiguration(directory);
  if (!snapshot) throw new Error(problems.map((problem) => problem.text).join("; "));
  return scopeOf(snapshot);
}
