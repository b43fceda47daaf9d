/** master/spawn-specs.ts: the spawn services of a configuration, ready to be started: where they listen, what they run and
 *  as whom. Refuses the accounts that spawn(8) refuses. Starting them is spawn-service.ts. */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { ParameterError } from "../config/declare.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { REGISTRY } from "../config/registry.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { parseSpawnCommand, type SpawnCommand } from "../config/spawn-command.ts";
import type { ServicePlace } from "../net/unread-connections.ts";
import { type Account, type AccountFiles, accountNamed, groupNamed, readAccountFiles } from "./accounts.ts";
import { chooseVariables } from "./environment.ts";
import { type ListenerContext, servicePlaces } from "./listeners.ts";

/** Postfix's default_process_limit: what maxproc `-` means. */
const DEFAULT_PROCESS_LIMIT = 100;
/** _PATH_DEFPATH of the C library: spawn(8) sets no other. */
const COMMAND_PATH = "/usr/bin:/bin";

export interface SpawnSpec {
  readonly name: string;
  /** In text, unique: stable over reloads. */
  readonly key: string;
  readonly place: ServicePlace;
  readonly argv: SpawnCommand["argv"];
  /** undefined: the master is not root, and the account is its own. */
  readonly account: { readonly uid: number; readonly gid: number } | undefined;
  /** Commands at a time; Infinity: no limit. */
  readonly maxproc: number;
  readonly timeLimitMs: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  /** The tag of its log lines. */
  readonly logTag: string;
}

export interface SpawnContext extends ListenerContext {
  readonly accounts: AccountFiles;
  /** Of the master. */
  readonly uid: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether there is such a file. */
  readonly exists: (path: string) => boolean;
}

/** The same on this machine. */
export function spawnSpecsHere(
  snapshot: ConfigSnapshot,
  { uid, ipv6 }: Pick<SpawnContext, "uid" | "ipv6">,
): ReturnType<typeof spawnSpecs> {
  return spawnSpecs(snapshot, {
    ...{ uid, ipv6, servicesText: servicesText(snapshot) },
    accounts: readAccountFiles(),
    environment: process.env,
    exists: existsSync,
  });
}

/** One spec per socket. A service that spawn(8) would not run is an error, not a spec. */
export function spawnSpecs(
  snapshot: ConfigSnapshot,
  context: SpawnContext,
): { readonly specs: readonly SpawnSpec[]; readonly problems: readonly Problem[] } {
  const specs: SpawnSpec[] = [];
  const problems: Problem[] = [];
  for (const service of snapshot.services) {
    if (service.command !== "spawn") continue;
    try {
      const found = specsOf(snapshot, service, context);
      specs.push(...found);
      const program = found[0]?.argv[0] ?? "";
      if (!isAbsolute(program) || context.exists(program)) continue;
      const text = `service "${service.name}": there is no program ${program}`;
      problems.push({ severity: "warning", at: service.at, text, hint: "connections are closed without an answer" });
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      const text = `service "${service.name}": ${error.message}`;
      problems.push({ severity: "error", at: service.at, text, hint: hintFor(error.message) });
    }
  }
  return { specs, problems };
}

function specsOf(snapshot: ConfigSnapshot, service: ServiceEntry, context: SpawnContext): readonly SpawnSpec[] {
  const params = scopeOf(snapshot, service);
  const { name, maxproc } = service;
  const command = parseSpawnCommand(service);
  const common = {
    name,
    argv: command.argv,
    account: accountOf(command, params, context),
    maxproc: maxproc === 0 ? Number.POSITIVE_INFINITY : (maxproc ?? DEFAULT_PROCESS_LIMIT),
    timeLimitMs: timeLimitOf(name, params),
    environment: environmentOf(params, snapshot.configDirectory, context.environment),
    directory: params.get("queue_directory"),
    logTag: `${params.get("syslog_name")}/spawn`,
  };
  return placesOf(snapshot, service, context).map((place) => ({ ...common, ...place }));
}

function hintFor(message: string): string | undefined {
  if (/^unknown (?:user|group) name/.test(message)) return "make the account, or comment the service out";
  if (/^request to /.test(message)) return "name an account that owns nothing of the mail system";
  if (/^only root /.test(message)) return "start the server as root, or name the account that starts it";
  if (/attribute|argv=/.test(message)) return "write: user=ACCOUNT argv=COMMAND ARGUMENT...";
  return undefined;
}

function placesOf(
  snapshot: ConfigSnapshot,
  service: ServiceEntry,
  context: SpawnContext,
): readonly { readonly key: string; readonly place: ServicePlace }[] {
  const { name, type } = service;
  if (type === "inet") {
    // A name that nobody knows is reported for all inet services alike.
    return (servicePlaces(snapshot, service, context) ?? []).map(({ host, port }) => ({
      key: `inet ${host} ${port}`,
      place: { kind: "tcp", host, port },
    }));
  }
  if (type !== "unix") throw new ParameterError(`spawn takes services of type unix and inet, not ${type}`);
  if (!/^[^/\0]+$/.test(name) || name === "." || name === "..") throw new ParameterError("not the name of a socket");
  const directory = scopeOf(snapshot).get("queue_directory");
  const path = join(directory, service.private ? "private" : "public", name);
  return [{ key: `unix ${path}`, place: { kind: "unix", path } }];
}

/** As spawn(8) decides; not as root, only the account that everything runs as. */
function accountOf({ user, group }: SpawnCommand, params: Parameters, context: SpawnContext): SpawnSpec["account"] {
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
function timeLimitOf(service: string, params: Parameters): number {
  const own = `${service}_time_limit`;
  if (params.unexpanded(own) === undefined) return params.get("command_time_limit");
  return REGISTRY.command_time_limit.parse(params.text(own), own);
}

/** What export_environment names, and Postfix's path. */
function environmentOf(
  params: Parameters,
  configDirectory: string,
  own: SpawnContext["environment"],
): Readonly<Record<string, string>> {
  const environment = chooseVariables(params.get("export_environment"), { own, configDirectory });
  environment.set("PATH", COMMAND_PATH);
  return Object.fromEntries(environment);
}
