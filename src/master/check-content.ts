/** master/check-content.ts: what is wrong with header_checks(5) tables, of smtpd services and of what the client sends: they are
 *  opened, and rules that are no actions are named. */
import {
  type CheckMaps,
  type ContentChecks,
  createContentChecks,
  createDeliveryChecks,
  createMilterChecks,
  unusableActions,
} from "../cleanup/content-checks.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import type { TableOpener } from "../tables/table.ts";

/** Of one smtpd service. */
export function checkContent(params: Parameters, tables: TableOpener): readonly Problem[] {
  return [
    ...problemsOf(mapsOf(createContentChecks(params, tables)), params),
    ...problemsOf([createMilterChecks(params, tables)], params),
  ];
}

/** Of all transports that speak SMTP or LMTP; "smtp" is there also where no line defines it. */
export function checkOutgoingContent(snapshot: ConfigSnapshot, tables: TableOpener): readonly Problem[] {
  const found: Problem[] = [];
  const check = (params: Parameters, protocol: "smtp" | "lmtp") =>
    found.push(...problemsOf(mapsOf(createDeliveryChecks(params, tables, protocol)), params));
  const transports = snapshot.services.filter(({ type }) => type === "unix");
  for (const service of transports) {
    const { command } = service;
    if (command === "smtp" || command === "lmtp") check(scopeOf(snapshot, service), command);
  }
  if (!transports.some(({ command }) => command === "smtp")) check(scopeOf(snapshot), "smtp");
  return found;
}

function mapsOf(checks: ContentChecks | undefined): readonly (CheckMaps | undefined)[] {
  return checks ? [checks.header, checks.mimeHeader, checks.nestedHeader, checks.body] : [];
}

/** Nothing is told of a default again. */
function problemsOf(maps: readonly (CheckMaps | undefined)[], params: Parameters): readonly Problem[] {
  return unusableActions(maps).flatMap(({ parameter, text }): Problem[] => {
    const at = params.source(parameter);
    return at ? [{ severity: "warning", at, text }] : [];
  });
}
