/** master/check-submission.ts: settings of FUTURERELEASE, DELIVERBY and MT-PRIORITY that do nothing. */
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import type { TableOpener } from "../tables/table.ts";

const DELIVER_BY = ["postern_deliver_by_enable", "postern_deliver_by_min"] as const;
const ALL = [
  ...DELIVER_BY,
  "postern_future_release_max",
  "postern_future_release_quota",
  "postern_priority_login_maps",
  "postern_priority_tunnel",
] as const;

/** Of one smtpd service. What is not set is not missed. */
export function checkSubmission(params: Parameters, tables: TableOpener): readonly Problem[] {
  for (const ref of params.get("postern_priority_login_maps")) tables.open(ref);
  const filtered = params.get("smtpd_proxy_filter") !== "";
  if (!filtered && params.get("content_filter") === "") return [];
  return (filtered ? ALL : DELIVER_BY).flatMap((name): Problem[] => {
    const at = params.source(name);
    if (at === undefined || params.text(name) === "no") return [];
    const text = `${name} has no effect where ${filtered ? "smtpd_proxy_filter" : "content_filter"} takes the mail`;
    return [{ severity: "warning", at, text }];
  });
}
