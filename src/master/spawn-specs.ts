/** master/spawn-specs.ts: the spawn services of a configuration, ready to be started: where they listen, what they run and
 *  as whom. Refuses the accounts that spawn(8) refuses. Starting them is spawn-service.ts. */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { ParameterError } from "../config/declare.ts";
import { scopeOf } from "../config/load.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { parseSpawnCommand, type SpawnCommand } from "../config/spawn-command.ts";
import type { ServicePlace } from "../net/unread-connections.ts";
import { readAccountFiles } from "./accounts.ts";
import {
  accountOf,
  type CommandAccount,
  type CommandContext,
  DEFAULT_PROCESS_LIMIT,
  environmentOf,
  timeLimitOf,
} from "./command-accounts.ts";
import { type ListenerContext, servicePlaces } from "./listeners.ts";

export interface SpawnSpec {
  readonly name: string;
  /** In text, unique: stable over reloads. */
  readonly key: string;
  readonly place: ServicePlace;
  readonly argv: SpawnCommand["argv"];
  readonly account: CommandAccount;
  /** Commands at a time; Infinity: no limit. */
  readonly maxproc: number;
  readonly timeLimitMs: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  /** The tag of its log lines. */
  readonly logTag: string;
}

export interface SpawnContext extends ListenerContext, CommandContext {
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
    return (servicePlaces(snapshot, service, context) ?? []).map((place) => ({
      key: `inet ${place.host} ${place.port}`,
      place: { kind: "tcp", ...place },
    }));
  }
  if (type !== "unix") throw new ParameterError(`spawn takes services of type unix and inet, not ${type}`);
  if (!/^[^/\0]+$/.test(name) || name === "." || name === "..") throw new ParameterError("not the name of a socket");
  const directory = scopeOf(snapshot).get("queue_directory");
  const path = join(directory, service.private ? "private" : "public", name);
  return [{ key: `unix ${path}`, place: { kind: "unix", path } }];
}
