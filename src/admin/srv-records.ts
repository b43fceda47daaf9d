/** admin/srv-records.ts: the SRV records by which mail programs find servers (RFC 6186, RFC 8314 §5.1). Pure. */
import type { AccountServer, MailAccount } from "./account.ts";
import { zoneRecord } from "./zone-line.ts";

export interface SrvRecord {
  /** `_submissions._tcp.example.org`, without final dot. */
  readonly name: string;
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** Without final dot; "": the service is not offered (RFC 2782). */
  readonly target: string;
}

const SERVICES = [
  { protocol: "smtp", security: "tls", label: "_submissions._tcp" },
  { protocol: "smtp", security: "starttls", label: "_submission._tcp" },
  { protocol: "imap", security: "tls", label: "_imaps._tcp" },
  { protocol: "imap", security: "starttls", label: "_imap._tcp" },
  { protocol: "pop3", security: "tls", label: "_pop3s._tcp" },
  { protocol: "pop3", security: "starttls", label: "_pop3._tcp" },
] as const;

/** Programs that know both take the lower number (RFC 8314 §5.1): TLS from the first byte. */
const PRIORITY = { tls: 0, starttls: 10 } as const;

/** For a protocol that nothing is known of there are none. */
export function srvRecords({ domain, outgoing, incoming }: MailAccount): readonly SrvRecord[] {
  const servers = [...outgoing, ...incoming];
  return SERVICES.flatMap(({ protocol, security, label }): readonly SrvRecord[] => {
    const ofProtocol = servers.filter((server) => server.protocol === protocol);
    if (ofProtocol.length === 0) return [];
    const name = `${label}.${domain}`;
    const found = ofProtocol.filter((server) => server.security === security);
    if (found.length === 0) return [{ name, priority: 0, weight: 0, port: 0, target: "" }];
    return found.map((server, i) => ({ name, ...place(server, PRIORITY[security] + i) }));
  });
}

function place({ host, port }: AccountServer, priority: number): Omit<SrvRecord, "name"> {
  return { priority, weight: 1, port, target: host };
}

export function srvLine({ name, priority, weight, port, target }: SrvRecord): string {
  return zoneRecord(name, "SRV", `${priority} ${weight} ${port} ${target}.`);
}
