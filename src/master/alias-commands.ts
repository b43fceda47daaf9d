/** master/alias-commands.ts: the commands that aliases lead to (local(8), EXTERNAL COMMAND DELIVERY), as services that the master runs. It
 *  reads the alias tables itself: a worker names an alias, never a command. Nothing unless allow_mail_to_commands is set. */
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { aliasService, pipeCommandOf } from "../local/alias-command.ts";
import { parseDestinations } from "../local/destinations.ts";
import { mayRunCommands } from "../local/local-delivery.ts";
import { openAliases } from "../rewrite/recipients.ts";
import { accountNamed } from "./accounts.ts";
import { accountOf, DEFAULT_PROCESS_LIMIT, environmentOf } from "./command-accounts.ts";
import { queueDirectories } from "./directories.ts";
import { accountHere, type PipeContext, type PipeSpec, pipeContext, pipeSpecs } from "./pipe-specs.ts";
import { openSnapshotTables, silentLog } from "./prove.ts";

/** All commands of a configuration on this machine, by service. `uid`: of the master. */
export function commandsHere(snapshot: ConfigSnapshot, uid: number): ReadonlyMap<string, PipeSpec> {
  const context = pipeContext(uid);
  const { specs } = pipeSpecs(snapshot, context);
  const params = scopeOf(snapshot);
  if (!mayRunCommands(params)) return specs;
  const tables = openSnapshotTables(snapshot, silentLog());
  // Only tables that are read whole: nothing is asked, so nothing stays open.
  const entries = openAliases(params, tables).flatMap((table) => [...(table.entries ?? [])]);
  void tables.close?.();
  return new Map([...specs, ...aliasCommands(entries, { snapshot, params, context })]);
}

interface Scope {
  readonly snapshot: ConfigSnapshot;
  readonly params: Parameters;
  readonly context: PipeContext;
}

/** Of aliases that are one command and nothing else. */
export function* aliasCommands(
  entries: Iterable<readonly [alias: string, value: string]>,
  { snapshot, params, context }: Scope,
): Generator<[string, PipeSpec]> {
  const who = accountHere(() => accountOf({ user: params.get("default_privs"), group: undefined }, params, context));
  const owner = context.uid === 0 ? accountNamed(context.accounts, params.get("mail_owner"))?.uid : undefined;
  const environment = environmentOf(params, snapshot.configDirectory, context.environment);
  const deliveredTo = params.get("prepend_delivered_header").includes("command");
  for (const [alias, value] of entries) {
    const [only, ...others] = parseDestinations(value);
    const command =
      only?.kind === "command" && others.length === 0 ? pipeCommandOf(only.command, { deliveredTo }) : undefined;
    if (!command) continue;
    const name = aliasService(alias);
    yield [
      name,
      {
        ...{ name, command, environment, account: who.account, refusal: who.refusal },
        delimiter: params.text("recipient_delimiter"),
        exportFilter: params.get("command_expansion_filter"),
        maxproc: DEFAULT_PROCESS_LIMIT,
        timeLimitMs: params.get("command_time_limit"),
        directory: params.get("queue_directory"),
        messages: { directory: queueDirectories(params).pipe, uid: owner ?? context.uid },
        logTag: `${params.get("syslog_name")}/local`,
      },
    ];
  }
}
