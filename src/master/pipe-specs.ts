/** master/pipe-specs.ts: the pipe services of a configuration, ready to be run: what, as whom, with which limits. A service that
 *  cannot run here is kept with the reason: a stock master.cf has several that nothing uses. Running is pipe-commands.ts. */
import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { ParameterError } from "../config/declare.ts";
import { scopeOf } from "../config/load.ts";
import { type PipeCommand, parsePipeCommand } from "../config/pipe-command.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { accountNamed, readAccountFiles } from "./accounts.ts";
import {
  accountOf,
  type CommandAccount,
  type CommandContext,
  DEFAULT_PROCESS_LIMIT,
  environmentOf,
  timeLimitOf,
} from "./command-accounts.ts";
import { queueDirectories } from "./directories.ts";

export interface PipeSpec {
  /** Name of the transport. */
  readonly name: string;
  readonly command: PipeCommand;
  /** $recipient_delimiter. */
  readonly delimiter: string;
  readonly account: CommandAccount;
  /** Why it is not run; undefined: it is. */
  readonly refusal: string | undefined;
  /** Commands at a time; Infinity: no limit. */
  readonly maxproc: number;
  readonly timeLimitMs: number;
  readonly environment: Readonly<Record<string, string>>;
  /** Characters that the message may bring into the environment; undefined: it brings nothing there, as with pipe(8). */
  readonly exportFilter?: string | undefined;
  readonly directory: string;
  /** Where messages are taken from, and the user whose they must be. */
  readonly messages: { readonly directory: string; readonly uid: number };
  /** The tag of its log lines. */
  readonly logTag: string;
}

export interface PipeContext extends CommandContext {
  /** Whether there is such a file. */
  readonly exists: (path: string) => boolean;
}

/** The same on this machine. */
export function pipeSpecsHere(snapshot: ConfigSnapshot, { uid }: Pick<PipeContext, "uid">) {
  return pipeSpecs(snapshot, pipeContext(uid));
}

/** This machine, and the user that the master is. */
export function pipeContext(uid: number): PipeContext {
  return { uid, accounts: readAccountFiles(), environment: process.env, exists: existsSync };
}

/** By transport. What pipe(8) cannot read is an error; what it would not run here is one warning for all. */
export function pipeSpecs(
  snapshot: ConfigSnapshot,
  context: PipeContext,
): { readonly specs: ReadonlyMap<string, PipeSpec>; readonly problems: readonly Problem[] } {
  const specs = new Map<string, PipeSpec>();
  const problems: Problem[] = [];
  const useless: { readonly service: ServiceEntry; readonly reason: string }[] = [];
  for (const service of snapshot.services) {
    if (service.command !== "pipe" || service.type !== "unix") continue;
    try {
      const spec = specOf(snapshot, service, context);
      specs.set(service.name, spec);
      const reason = spec.refusal ?? missingProgram(spec.command, context);
      if (reason !== undefined) useless.push({ service, reason });
      problems.push(...flagProblems(service, spec.command));
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      problems.push({ severity: "error", at: service.at, text: `service "${service.name}": ${error.message}` });
    }
  }
  if (useless[0]) {
    const reasons = useless.map(({ service, reason }) => `${service.name} (${reason})`).join(", ");
    const text = `pipe services that cannot run here, so that mail for them waits: ${reasons}`;
    const hint = "make what is missing, or comment the services out";
    problems.push({ severity: "warning", at: useless[0].service.at, text, hint });
  }
  return { specs, problems };
}

function specOf(snapshot: ConfigSnapshot, service: ServiceEntry, context: PipeContext): PipeSpec {
  const params = scopeOf(snapshot, service);
  const { name, maxproc } = service;
  const command = parsePipeCommand(service);
  const who = accountHere(() => accountOf(command, params, context));
  const owner = context.uid === 0 ? accountNamed(context.accounts, params.get("mail_owner"))?.uid : undefined;
  return {
    ...{ name, command, account: who.account, refusal: who.refusal },
    delimiter: params.text("recipient_delimiter"),
    maxproc: maxproc === 0 ? Number.POSITIVE_INFINITY : (maxproc ?? DEFAULT_PROCESS_LIMIT),
    timeLimitMs: timeLimitOf(name, params),
    environment: environmentOf(params, snapshot.configDirectory, context.environment),
    directory: command.directory || params.get("queue_directory"),
    messages: { directory: queueDirectories(scopeOf(snapshot)).pipe, uid: owner ?? context.uid },
    logTag: `${params.get("syslog_name")}/pipe`,
  };
}

/** It may be there when it is run. */
function missingProgram({ argv: [program] }: PipeCommand, { exists }: PipeContext): string | undefined {
  return isAbsolute(program) && !exists(program) ? `there is no program ${program}` : undefined;
}

/** The account, or why it is not used. */
export function accountHere(find: () => CommandAccount): {
  readonly account: CommandAccount;
  readonly refusal?: string;
} {
  try {
    return { account: find() };
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error;
    return { account: undefined, refusal: error.message };
  }
}

function flagProblems(service: ServiceEntry, { unknownFlags }: PipeCommand): readonly Problem[] {
  return unknownFlags.map((flag) => ({
    severity: "warning",
    at: service.at,
    text: `service "${service.name}": unknown flag: ${flag} (ignored)`,
  }));
}
