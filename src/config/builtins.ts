/** config/builtins.ts: defaults that depend on the machine or on main.cf itself: myhostname, mydomain, mynetworks and
 *  the names of this program. They stand between main.cf and the declared defaults. */

import { defaultMynetworks, LOOPBACK_INTERFACES, usedInterfaces } from "./networks.ts";
import { ParameterError, Parameters } from "./parameters.ts";
import type { Assignment } from "./snapshot.ts";

export interface Machine {
  /** As the system says it, with or without a domain. */
  readonly hostname: string;
  readonly mailVersion: string;
  readonly configDirectory: string;
  /** Own addresses with prefix length; without them only loopback counts. */
  readonly interfaces?: readonly string[] | undefined;
}

/** Computed defaults by name. Bad values in main.cf are left for check to report: the safe default stands meanwhile. */
export function computeBuiltins(machine: Machine, mainCf: readonly Assignment[]): ReadonlyMap<string, string> {
  const builtins = new Map<string, string>();
  builtins.set("mail_version", machine.mailVersion);
  builtins.set("config_directory", machine.configDirectory);
  builtins.set("process_name", "");
  builtins.set("service_name", "");
  const written = new Map(mainCf.map(({ name, value }) => [name, value]));
  builtins.set("myhostname", qualified(machine.hostname, written.get("mydomain")));
  const scope = () => new Parameters({ assignments: mainCf, builtins });
  const myhostname = tryRead(() => scope().text("myhostname")) ?? "";
  builtins.set("mydomain", domainOfHost(myhostname));
  builtins.set("mynetworks", tryRead(() => networksOf(scope(), machine)) ?? "127.0.0.1/32 [::1]/128");
  return builtins;
}

/** $mydomain of a host: its name without the first label. */
export function domainOfHost(myhostname: string): string {
  const dot = myhostname.indexOf(".");
  const domain = dot < 0 ? "" : myhostname.slice(dot + 1);
  return domain === "" ? "localdomain" : domain;
}

function qualified(hostname: string, mydomain: string | undefined): string {
  if (hostname.includes(".")) return hostname;
  // A mydomain that is made of other names may be made of this one; then the plain rule applies.
  return `${hostname || "localhost"}.${mydomain && !mydomain.includes("$") ? mydomain : "localdomain"}`;
}

function networksOf(scope: Parameters, machine: Machine): string {
  const interfaces = usedInterfaces(machine.interfaces ?? LOOPBACK_INTERFACES, {
    inetInterfaces: scope.get("inet_interfaces"),
    inetProtocols: scope.get("inet_protocols"),
  });
  return defaultMynetworks(scope.get("mynetworks_style"), interfaces);
}

function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParameterError) return undefined;
    throw error;
  }
}
