/** cli/logrotate.ts: `postern logrotate`, as postfix(1): the log is renamed with maillog_file_rotate_suffix, a running
 *  server opens a new one, and maillog_file_compressor gets the old one. */
import { spawn } from "node:child_process";
import { existsSync, renameSync, statSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { formatRotateSuffix } from "../log/rotate-suffix.ts";
import { defaultLogPath } from "../master/mail-log.ts";
import { control, parametersOf } from "./server-commands.ts";
import { type Command, EXIT, failed } from "./terminal.ts";

export const logrotate: Command = async (_args, terminal) => {
  const fail = (why: string, code: number = EXIT.problems) => failed(terminal, "logrotate", why, code);
  const params = await parametersOf(terminal);
  const path = params.get("maillog_file") || defaultLogPath(params);
  const made = formatRotateSuffix(params.get("maillog_file_rotate_suffix"), new Date(systemClock.now()));
  if ("problem" in made) return fail(made.problem, EXIT.configuration);
  const old = `${path}.${made.suffix}`;
  if (!existsSync(path)) return fail(`${path}: there is no such log; nothing was done`);
  if (!statSync(path).isFile()) return fail(`${path} is no regular file; whoever reads it rotates it`);
  if (existsSync(old)) return fail(`${old} exists already; nothing was done`);
  renameSync(path, old);
  // A stopped server opens the path when it starts.
  await control(terminal, "logrotate", {});
  const problem = await compress(params, old);
  return problem === undefined ? EXIT.done : fail(`${problem}; the log is kept as ${old}`);
};

/** Runs the compressor with the file as its only argument, without a shell; resolves to what went wrong. */
function compress(params: Parameters, file: string): Promise<string | undefined> {
  const program = params.get("maillog_file_compressor");
  if (program === "") return Promise.resolve(undefined);
  return new Promise((done) => {
    const child = spawn(program, [file], { stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error) => done(`maillog_file_compressor: ${error.message}`));
    child.on("exit", (code, signal) => {
      done(code === 0 ? undefined : `maillog_file_compressor: ${program}: ${signal ?? `exit status ${code}`}`);
    });
  });
}
