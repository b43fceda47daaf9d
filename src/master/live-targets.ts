/** master/live-targets.ts: where the services of a snapshot listen, and as whom a client from some address comes there, for
 *  `postern verify --live`. */
import { scopeOf } from "../config/load.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { hasIpv6 } from "../net/listener.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import { listenerSpecs } from "./listeners.ts";

export interface LiveTarget {
  readonly service: ServiceEntry;
  /** An address that can be connected to: loopback where the service listens on all. */
  readonly address: string;
  readonly port: number;
  readonly tls: "none" | "starttls" | "wrapper";
  readonly sasl: boolean;
  /** Connections must begin with a PROXY header. */
  readonly proxied: boolean;
  /** Whether $mynetworks of the service holds the address; undefined where its tables cannot say. */
  isMember(address: string): Promise<boolean | undefined>;
}

/** Throws ParameterError for values that check reports. */
export function liveTargets(snapshot: ConfigSnapshot, tables: TableOpener): readonly LiveTarget[] {
  const { specs } = listenerSpecs(snapshot, { servicesText: servicesText(snapshot), ipv6: hasIpv6() });
  return specs.map(({ service, host, port }) => {
    const params = scopeOf(snapshot, service);
    const mynetworks = compileAddressList(params.get("mynetworks"), { opener: tables });
    const level = params.text("smtpd_tls_security_level");
    const offered = level === "" ? params.get("smtpd_use_tls") || params.get("smtpd_enforce_tls") : level !== "none";
    return {
      service,
      address: reachable(host, params.get("inet_protocols")),
      port,
      tls: params.get("smtpd_tls_wrappermode") ? "wrapper" : offered ? "starttls" : "none",
      sasl: params.get("smtpd_sasl_auth_enable"),
      proxied: params.text("smtpd_upstream_proxy_protocol") !== "",
      async isMember(address) {
        try {
          return await mynetworks.matches(address);
        } catch (error) {
          if (error instanceof TableError) return undefined;
          throw error;
        }
      },
    };
  });
}

/** Loopback, where the service listens on all addresses. */
function reachable(host: string, protocols: readonly string[]): string {
  if (host !== "::" && host !== "0.0.0.0") return host;
  return protocols.includes("all") || protocols.includes("ipv4") ? "127.0.0.1" : "::1";
}
