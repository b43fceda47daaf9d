/** master/check-limits.ts: the scheduling limits of the transports of master.cf, `TRANSPORT_destination_…`, whose names no declaration
 *  of a parameter has. */
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import { badLimits } from "../qmgr/limits.ts";
import { BUILT_IN_TRANSPORTS } from "./agents.ts";

export function checkLimits(snapshot: ConfigSnapshot): readonly Problem[] {
  const params = scopeOf(snapshot);
  const own = snapshot.services.filter(({ type }) => type === "unix").map(({ name }) => name);
  return [...new Set([...BUILT_IN_TRANSPORTS.keys(), ...own])].flatMap((transport) =>
    badLimits(params, transport).map(
      ({ parameter, text }): Problem => ({ severity: "error", at: params.source(parameter), text }),
    ),
  );
}
