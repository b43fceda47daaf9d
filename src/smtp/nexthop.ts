/** smtp/nexthop.ts: the syntax of a next hop (smtp(8), transport(5)): `domain`, `domain:port`, `[host]`, `[host]:port`,
 *  `[address]`, `unix:path`, `inet:host:port`; several, separated by commas, are tried in turn. Pure. */

export type NextHop =
  /** Mail exchangers of the domain. */
  | { readonly kind: "domain"; readonly name: string; readonly port: string | undefined }
  /** Just this host or address. */
  | { readonly kind: "host"; readonly name: string; readonly port: string | undefined }
  | { readonly kind: "unix"; readonly path: string };

const BRACKETS = /^\[(?:ipv6:)?([^\]]+)\](?::([^:]+))?$/i;

/** The destinations in order. `protocol` lmtp never looks for mail exchangers. */
export function parseNextHops(text: string, protocol: "smtp" | "lmtp"): readonly NextHop[] {
  const items = text.split(/[,\s]+/).filter(Boolean);
  return items.map((item) => parseOne(item, protocol));
}

function parseOne(item: string, protocol: "smtp" | "lmtp"): NextHop {
  if (item.startsWith("unix:")) return { kind: "unix", path: item.slice(5) };
  const inet = item.startsWith("inet:");
  const rest = inet ? item.slice(5) : item;
  const m = BRACKETS.exec(rest);
  if (m) return { kind: "host", name: m[1] ?? "", port: m[2] };
  const kind = inet || protocol === "lmtp" ? "host" : "domain";
  const colon = rest.indexOf(":");
  if (colon < 0 || colon !== rest.lastIndexOf(":")) return { kind, name: rest, port: undefined };
  return { kind, name: rest.slice(0, colon), port: rest.slice(colon + 1) };
}

/** The few service names that stand in relayhost in practice. */
const SERVICES: ReadonlyMap<string, number> = new Map([
  ["smtp", 25],
  ["lmtp", 24],
  ["submission", 587],
  ["submissions", 465],
  ["smtps", 465],
  ["urd", 465],
]);

/** A port by number or by well-known name; undefined for anything else. */
export function portNumber(text: string): number | undefined {
  const port = SERVICES.get(text) ?? (/^\d{1,5}$/.test(text) ? Number(text) : undefined);
  return port !== undefined && port > 0 && port <= 65535 ? port : undefined;
}
