/** cli/config-commands.ts: `postern postconf` and `postern user`, bound to this process's files and terminal. */
import { readFileSync } from "node:fs";
import { formatProblem } from "../config/check.ts";
import { loadSnapshot, scopeOf } from "../config/load.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { StartError } from "../master/directories.ts";
import { ownNetworks } from "../net/interfaces.ts";
import { sourceOf } from "./main-cf.ts";
import { promptPassword } from "./password-prompt.ts";
import { runPostconf } from "./postconf.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { runUser } from "./user.ts";

/** The configuration at hand; the snapshot is undefined if it cannot be read. */
export function readConfiguration(directory: string) {
  return loadSnapshot({ ...sourceOf({ configDirectory: directory }), interfaces: ownNetworks() });
}

/** The same; where it cannot be read, says why and returns undefined, and the command ends with EXIT.configuration. */
export async function requireConfiguration(terminal: Terminal, command: string): Promise<ConfigSnapshot | undefined> {
  const { snapshot, problems } = await readConfiguration(terminal.configDirectory);
  if (snapshot !== undefined) return snapshot;
  for (const problem of problems) terminal.stderr(`${formatProblem(problem)}\n`);
  failed(terminal, command, "the configuration cannot be read", EXIT.configuration);
  return undefined;
}

export const postconf: Command = (args, terminal) =>
  runPostconf(args, {
    configDirectory: terminal.configDirectory,
    snapshotFor: (directory) => readConfiguration(directory ?? terminal.configDirectory),
    readFile: async (path) => readFileSync(path),
    stdout: terminal.stdout,
    stderr: terminal.stderr,
  });

export const user: Command = (args, terminal) =>
  runUser(args, {
    stdin: terminal.stdin,
    stdout: { write: terminal.stdout },
    stderr: { write: terminal.stderr },
    userFile: () => userFile(terminal),
    ...(process.stdin.isTTY && { promptPassword }),
  });

async function userFile(terminal: Terminal): Promise<string> {
  const { snapshot, problems } = await readConfiguration(terminal.configDirectory);
  if (!snapshot) throw new StartError(problems.map(formatProblem).join("\n"));
  return scopeOf(snapshot).get("postern_user_file");
}
