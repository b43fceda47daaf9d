/** proxy/settings.ts: the parameters of a before-queue filter, read once. */
import { resolve as resolvePath } from "node:path";
import { parseInetService } from "../config/inet-name.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";
import type { PeerAddress } from "../net/client-connection.ts";

export interface FilterSettings {
  /** As written, for log lines. */
  readonly name: string;
  readonly peer: PeerAddress;
  readonly ehloName: string;
  readonly timeoutMs: number;
  /** speed_adjust. */
  readonly afterwards: boolean;
}

/** undefined: there is no filter. Throws ParameterError. */
export function filterSettings(params: Parameters): FilterSettings | undefined {
  const name = params.get("smtpd_proxy_filter");
  if (name === "") return undefined;
  return {
    name,
    peer: peerOf(name, params.get("queue_directory")),
    ehloName: params.get("smtpd_proxy_ehlo"),
    timeoutMs: params.get("smtpd_proxy_timeout"),
    afterwards: params.get("smtpd_proxy_options").includes("speed_adjust"),
  };
}

function peerOf(name: string, queueDirectory: string): PeerAddress {
  if (name.startsWith("unix:")) return { path: resolvePath(queueDirectory, name.slice("unix:".length)) };
  const inet = parseInetService(name.replace(/^inet:/, ""), "");
  if (inet === undefined) throw new ParameterError(`bad smtpd_proxy_filter value "${name}"`);
  return { address: inet.host ?? "localhost", port: inet.port };
}
