/** config/inet-name.ts: the first field of an `inet` service: `port`, `host:port`, `[v6]:port`, ports also by name.
 *  Names come from a built-in list first (known_tcp_ports), then from the text of /etc/services. */

const KNOWN_PORTS: ReadonlyMap<string, number> = new Map([
  ["lmtp", 24],
  ["smtp", 25],
  ["smtps", 465],
  ["submissions", 465],
  ["submission", 587],
]);

export interface InetService {
  /** Name or address without brackets; undefined: as inet_interfaces says. */
  readonly host: string | undefined;
  /** 0 to 65535; 0 lets the system choose. */
  readonly port: number;
}

/** undefined if the name is malformed or its port is unknown. */
export function parseInetService(name: string, servicesText: string): InetService | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%\w-]*)\]:|([^[\]:\s]*):)?([^[\]:\s]+)$/.exec(name);
  if (!match) return undefined;
  const port = portOf(match[3] ?? "", servicesText);
  if (port === undefined) return undefined;
  return { host: (match[1] ?? match[2]) || undefined, port };
}

function portOf(text: string, servicesText: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) <= 65535 ? Number(text) : undefined;
  return KNOWN_PORTS.get(text) ?? portInServices(text, servicesText);
}

/** services(5): `name port/protocol alias … # comment`. */
function portInServices(wanted: string, servicesText: string): number | undefined {
  for (const line of servicesText.split("\n")) {
    const [name, port, ...aliases] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    const match = /^(\d{1,5})\/tcp$/i.exec(port ?? "");
    if (match && (name === wanted || aliases.includes(wanted)) && Number(match[1]) <= 65535) return Number(match[1]);
  }
  return undefined;
}
