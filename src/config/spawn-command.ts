/** config/spawn-command.ts: what a spawn service of master.cf runs: `user=name[:group] argv=command argument…` (spawn(8)).
 *  Only syntax; whether the account exists and may be used is said where the service is started. */
import { ParameterError } from "./declare.ts";
import type { ServiceEntry } from "./snapshot.ts";

export interface SpawnCommand {
  readonly user: string;
  /** undefined: the primary group of the user. */
  readonly group: string | undefined;
  /** The program and its arguments; never empty. */
  readonly argv: readonly [string, ...string[]];
}

/** Throws ParameterError with spawn(8)'s words. */
export function parseSpawnCommand({ args }: Pick<ServiceEntry, "args">): SpawnCommand {
  let account: { readonly user: string; readonly group: string | undefined } | undefined;
  for (const [index, word] of args.entries()) {
    const [, name = "", value = ""] = /^([^=]*)=([\s\S]*)$/.exec(word) ?? [];
    if (/^-[A-Za-z]/.test(word) && account === undefined) continue; // -v
    if (/^user$/i.test(name)) account = splitAccount(value);
    else if (/^argv$/i.test(name)) return commandOf(account, value, args.slice(index + 1));
    else throw new ParameterError(`unknown attribute name: ${word}`);
  }
  throw new ParameterError(account ? "missing argv= attribute" : "missing user= attribute");
}

function splitAccount(value: string) {
  const [user = "", group = ""] = value.split(/:(.*)/s);
  return { user, group: group === "" ? undefined : group };
}

function commandOf(
  account: { readonly user: string; readonly group: string | undefined } | undefined,
  program: string,
  rest: readonly string[],
): SpawnCommand {
  if (!account || account.user === "") throw new ParameterError("missing user= attribute");
  if (program === "") throw new ParameterError("argv= names no program");
  return { ...account, argv: [program, ...rest] };
}
