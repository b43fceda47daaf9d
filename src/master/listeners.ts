/** master/listeners.ts: which sockets the inet services of a config need. Pure; binding is net/listener.ts. */
import { parseInetService } from "../config/inet-name.ts";
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";

export interface ListenerSpec {
  /** "service-name|host|port": stable over reloads. */
  readonly key: string;
  readonly service: ServiceEntry;
  readonly host: string;
  readonly port: number;
  /** IPv4 is not among inet_protocols: `::` must not take it. */
  readonly ipv6Only: boolean;
}

/** Programs that give an smtpd on their port (design §7: postscreen never loses port 25). */
export const SMTPD_PROGRAMS: ReadonlySet<string> = new Set(["smtpd", "postscreen"]);

export function isSmtpService({ type, command }: ServiceEntry): boolean {
  return type === "inet" && SMTPD_PROGRAMS.has(command);
}

export interface ListenerContext {
  readonly servicesText: string;
  readonly ipv6: boolean;
}

/** One spec per address; a name that cannot be resolved is a problem. */
export function listenerSpecs(
  snapshot: ConfigSnapshot,
  context: ListenerContext,
): { readonly specs: readonly ListenerSpec[]; readonly problems: readonly Problem[] } {
  const specs: ListenerSpec[] = [];
  const problems: Problem[] = [];
  for (const service of snapshot.services) {
    if (!isSmtpService(service)) continue;
    const places = servicePlaces(snapshot, service, context);
    if (!places) {
      problems.push({
        severity: "error",
        at: service.at,
        text: `unknown service: ${service.name}/tcp`,
        hint: "use a port number, or a name that /etc/services lists",
      });
      continue;
    }
    for (const place of places) specs.push({ key: `${service.name}|${place.host}|${place.port}`, service, ...place });
  }
  return { specs, problems };
}

/** Where an inet service listens; undefined if its name is unknown. */
export function servicePlaces(
  snapshot: ConfigSnapshot,
  service: ServiceEntry,
  context: ListenerContext,
): readonly Pick<ListenerSpec, "host" | "port" | "ipv6Only">[] | undefined {
  const where = parseInetService(service.name, context.servicesText);
  if (!where) return undefined;
  const hosts = where.host === undefined ? interfaceHosts(snapshot, service, context.ipv6) : [where.host];
  const protocols = scopeOf(snapshot, service).get("inet_protocols");
  const ipv6Only = !protocols.includes("all") && !protocols.includes("ipv4");
  return hosts.map((host) => ({ host, port: where.port, ipv6Only }));
}

function interfaceHosts(snapshot: ConfigSnapshot, service: ServiceEntry, ipv6: boolean): readonly string[] {
  const params = scopeOf(snapshot, service);
  const protocols = params.get("inet_protocols");
  const v6 = ipv6 && (protocols.includes("all") || protocols.includes("ipv6"));
  const v4 = protocols.includes("all") || protocols.includes("ipv4");
  const hosts = params.get("inet_interfaces").flatMap((name) => {
    if (name === "all") return v6 && v4 ? ["::"] : v6 ? ["::"] : ["0.0.0.0"];
    if (name === "loopback-only") return [...(v4 ? ["127.0.0.1"] : []), ...(v6 ? ["::1"] : [])];
    return [name === "localhost" ? "127.0.0.1" : name.replace(/^\[|\]$/g, "")];
  });
  return [...new Set(hosts)];
}
