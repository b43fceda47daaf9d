/** config/syslog-server.ts: `udp:host:514`, `tcp:[2001:db8::1]:601`, `tls:logs.example.org`: the value of postern_syslog_server. */
import { type Declaration, ParameterError } from "./declare.ts";

export interface SyslogServer {
  readonly transport: "udp" | "tcp" | "tls";
  readonly host: string;
  readonly port: number;
}

/** RFC 5426 §3.3, RFC 6587, RFC 5425 §4.1. */
const DEFAULT_PORT = { udp: 514, tcp: 514, tls: 6514 } as const;

/** The server, undefined for "", or one sentence on what is wrong. */
export function parseSyslogServer(text: string): SyslogServer | undefined | { readonly problem: string } {
  if (text === "") return undefined;
  const m = /^(udp|tcp|tls):(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(text);
  const transport = m?.[1] as SyslogServer["transport"] | undefined;
  const host = m?.[2] ?? m?.[3];
  if (transport === undefined || host === undefined) {
    return { problem: "expected udp:host:port, tcp:host:port or tls:host:port" };
  }
  const port = m?.[4] === undefined ? DEFAULT_PORT[transport] : Number(m[4]);
  if (port < 1 || port > 65_535) return { problem: "the port is between 1 and 65535" };
  return { transport, host, port };
}

export function syslogServer(doc: string): Declaration<SyslogServer | undefined> {
  return {
    type: "text",
    default: "",
    doc,
    origin: "postern",
    parse(text, name) {
      const server = parseSyslogServer(text.trim());
      if (server && "problem" in server) {
        throw new ParameterError(`bad configuration: ${name} = ${text}: ${server.problem}`);
      }
      return server;
    },
  };
}
