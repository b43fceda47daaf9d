/** master/table-settings.ts: what tables are told about a configuration, the same for the server, check, verify and explain. */
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { TableOpenerOptions } from "../tables/open.ts";
import { chooseVariables } from "./environment.ts";

/** Throws ParameterError for a bad import_environment. */
export function tableSettings(
  snapshot: ConfigSnapshot,
): Pick<TableOpenerOptions, "configDirectory" | "environment" | "parameter"> {
  const { configDirectory } = snapshot;
  const params = scopeOf(snapshot);
  const variables = chooseVariables(params.get("import_environment"), { own: process.env, configDirectory });
  return { configDirectory, environment: Object.fromEntries(variables), parameter: (name) => params.text(name) };
}
