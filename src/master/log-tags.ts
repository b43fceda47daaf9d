/** master/log-tags.ts: the tag of a delivery agent's log lines: syslog_name and program of its line in master.cf, as each
 *  Postfix daemon writes under its own name: `postfix/smtp` for a transport "scan … smtp", `postfix/error` for retry. */
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { REQUEUE_TRANSPORT } from "../qmgr/lane-map.ts";
import { BUILT_IN_TRANSPORTS } from "./agents.ts";

/** Programs that are no transports and write about messages. */
const PROGRAMS: ReadonlySet<string> = new Set(["qmgr", "bounce", "cleanup", "verify", "trace", "defer"]);

/** Tags by transport or program, made at the first use. */
export function createLogTags(snapshot: ConfigSnapshot): (name: string) => string {
  const known = new Map<string, string>();
  return (name) => {
    const tag = known.get(name) ?? tagOf(name, snapshot);
    known.set(name, tag);
    return tag;
  };
}

function tagOf(name: string, snapshot: ConfigSnapshot): string {
  // In Postfix the pickup service takes requeued mail in.
  if (name === REQUEUE_TRANSPORT) return `${scopeOf(snapshot).get("syslog_name")}/pickup`;
  const service = snapshot.services.find((entry) => entry.type === "unix" && entry.name === name);
  const known = service?.command ?? BUILT_IN_TRANSPORTS.get(name);
  // Mail for a transport that does not exist is the retry service's.
  if (known === undefined && !PROGRAMS.has(name)) return tagOf("retry", snapshot);
  const program = known ?? name;
  const params = scopeOf(snapshot, service);
  return `${params.get("syslog_name")}/${program === "retry" ? "error" : program}`;
}
