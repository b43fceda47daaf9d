/** master/command-accounts.ts: as whom the commands of master.cf run, for how long, and with which environment: what spawn(8) and
 *  pipe(8) have in common. */
import { ParameterError } from "../config/declare.ts";
import type { Parameters } from "../config/parameters.ts";
import { REGISTRY } from "../config/registry.ts";
import { type Account, type AccountFiles, accountNamed, groupNamed } from "./accounts.ts";
import { chooseVariables } from "./environment.ts";

/** Postfix's default_process_limit: what maxproc `-` means. */
export const DEFAULT_PROCESS_LIMIT = 100;
/** _PATH_DEFPATH of the C library: Postfix sets no other. */
const COMMAND_PATH = "/usr/bin:/bin";

/** undefined: the master is not root, and the account is its own. */
export type CommandAccount = { readonly uid: number; readonly gid: number } | undefined;

export interface CommandContext {
  readonly accounts: AccountFiles;
  /** Of the master. */
  readonly uid: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** As spawn(8) and pipe(8) decide; not as root, only the account that everything runs as. Throws ParameterError. */
export function accountOf(
  { user, group }: { readonly user: string; readonly group: string | undefined },
  params: Parameters,
  context: CommandContext,
): CommandAccount {
  const { accounts, uid } = context;
  const account = accountNamed(accounts, user);
  if (!account) throw new ParameterError(`unknown user name: ${user}`);
  const gid = group === undefined ? account.gid : groupNamed(accounts, group);
  if (gid === undefined) throw new ParameterError(`unknown group name: ${group}`);
  refusePrivileged({ ...account, gid }, group, accountNamed(accounts, params.get("mail_owner")));
  if (uid === 0) return { uid: account.uid, gid };
  if (account.uid === uid) return undefined;
  throw new ParameterError(`only root can run a command as ${user}`);
}

function refusePrivileged({ uid, gid }: Account, group: string | undefined, owner: Account | undefined): void {
  const named = group ?? String(gid);
  if (uid === 0) throw new ParameterError("request to deliver as root");
  if (uid === owner?.uid) throw new ParameterError("request to deliver as mail system owner");
  if (gid === 0) throw new ParameterError(`request to use privileged group ${named}`);
  if (gid === owner?.gid) throw new ParameterError(`request to use mail system owner group ${named}`);
}

/** `<service>_time_limit`, else command_time_limit. */
export function timeLimitOf(service: string, params: Parameters): number {
  const own = `${service}_time_limit`;
  if (params.unexpanded(own) === undefined) return params.get("command_time_limit");
  return REGISTRY.command_time_limit.parse(params.text(own), own);
}

/** What export_environment names, and Postfix's path. */
export function environmentOf(
  params: Parameters,
  configDirectory: string,
  own: CommandContext["environment"],
): Readonly<Record<string, string>> {
  const environment = chooseVariables(params.get("export_environment"), { own, configDirectory });
  environment.set("PATH", COMMAND_PATH);
  return Object.fromEntries(environment);
}
