/** master/check-identity.ts: settings of who may send as whom under which mail waits, or is not looked at although it seems to be. */
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import type { TableOpener } from "../tables/table.ts";

/** Of one smtpd service. */
export function checkIdentity(params: Parameters, tables: TableOpener): readonly Problem[] {
  return [...checkAuthors(params, tables), ...checkDuplicates(params)];
}

function checkDuplicates(params: Parameters): readonly Problem[] {
  const name = "postern_duplicate_guard";
  if (params.get(name) === "off" || params.get("smtpd_proxy_filter") === "") return [];
  const text = `${name} has no effect where smtpd_proxy_filter takes the mail`;
  return [{ severity: "warning", at: params.source(name), text, hint: "set it off for that service" }];
}

function checkAuthors(params: Parameters, tables: TableOpener): readonly Problem[] {
  const name = "postern_header_from_login_mismatch";
  const grade = params.get(name);
  if (grade === "ignore") return [];
  const maps = params.get("smtpd_sender_login_maps");
  for (const ref of maps) tables.open(ref);
  const at = params.source(name);
  const found: Problem[] = [];
  if (maps.length === 0) {
    const waits = grade === "warn" ? "nothing is looked at" : "mail of every login is deferred";
    const text = `${name} = ${grade}, but smtpd_sender_login_maps is empty: ${waits}`;
    found.push({ severity: "error", at, text, hint: "name a table from address to logins" });
  }
  if (!params.get("smtpd_sasl_auth_enable")) return found;
  if (params.get("smtpd_proxy_filter") !== "") {
    const text = `${name} = ${grade} has no effect where smtpd_proxy_filter takes the mail`;
    found.push({ severity: "warning", at, text, hint: "let the filter look at From" });
  }
  return found;
}
