/** tables/ldap-url.ts: LDAP URLs (RFC 4516): servers in `server_host`, and searches that a directory stores as values
 *  (dynamic groups). Pure. */
import type { SocketTarget } from "../net/socket-client.ts";

export interface LdapServer {
  /** As a URL, for messages. */
  readonly name: string;
  readonly target: SocketTarget;
  /** TLS from the first byte (ldaps). */
  readonly tls: boolean;
  /** What a certificate must be for. */
  readonly host: string;
}

export type LdapScope = "base" | "one" | "sub";

export interface LdapSearchUrl {
  readonly base: string;
  /** Empty: all. */
  readonly attributes: readonly string[];
  readonly scope: LdapScope;
  readonly filter: string;
}

/** `ldap://host:port`, `ldaps://…`, `ldapi://%2Fpath`, `host:port` or `host`; undefined for anything else. */
export function parseLdapServer(text: string, port: number): LdapServer | undefined {
  const [, scheme = "", authority = ""] = /^(ldapi?|ldaps):\/\/([^/?]*)(?:[/?].*)?$/i.exec(text) ?? [];
  if (scheme === "") return text === "" || /:\/\//.test(text) ? undefined : tcpServer("ldap", text, port);
  if (scheme.toLowerCase() !== "ldapi") return tcpServer(scheme.toLowerCase(), authority, undefined);
  const path = decodePercent(authority);
  if (path === undefined || !path.startsWith("/")) return undefined;
  return { name: text, target: { kind: "unix", path }, tls: false, host: "localhost" };
}

function tcpServer(scheme: string, authority: string, port: number | undefined): LdapServer | undefined {
  const [, v6, name = "", digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/?]*))(?::(\d{1,5}))?$/.exec(authority) ?? [];
  if (v6 === undefined && name === "" && authority !== "") return undefined;
  const host = v6 ?? (name === "" ? "localhost" : name);
  const number = digits === undefined ? (port ?? (scheme === "ldaps" ? 636 : 389)) : Number(digits);
  if (number < 1 || number > 65535) return undefined;
  const shown = v6 === undefined ? host : `[${host}]`;
  return {
    name: `${scheme}://${shown}:${number}`,
    target: { kind: "tcp", host, port: number },
    tls: scheme === "ldaps",
    host,
  };
}

/** Whether a value is meant as a URL and not as a distinguished name. */
export function isLdapUrl(text: string): boolean {
  return /^ldap[is]?:\/\//i.test(text);
}

/** The search a URL stands for; its server is not ours to choose and is ignored, as in Postfix. Undefined: malformed. */
export function parseSearchUrl(text: string): LdapSearchUrl | undefined {
  const [, rest] = /^ldap[is]?:\/\/[^/?]*(?:\/(.*))?$/is.exec(text) ?? [];
  const parts = (rest ?? "").split("?").map(decodePercent);
  const [base, attributes = "", scope = "", filter = "", extensions = ""] = parts;
  if (base === undefined || parts.includes(undefined) || parts.length > 5) return undefined;
  // RFC 4516 §2: an extension marked critical must not be ignored.
  if (extensions.includes("!")) return undefined;
  const kind = scope === "" ? "base" : scope.toLowerCase();
  if (kind !== "base" && kind !== "one" && kind !== "sub") return undefined;
  const names = attributes.split(",").filter(Boolean);
  return { base, attributes: names, scope: kind, filter: filter === "" ? "(objectClass=*)" : filter };
}

/** Undefined for a `%` that two hexadecimal digits do not follow, or bytes that are no UTF-8. */
function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
