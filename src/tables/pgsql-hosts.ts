/** tables/pgsql-hosts.ts: the words of `hosts` in pgsql_table(5): `unix:/directory`, `inet:host:port`, `host:port`, and the
 *  connection URI of PostgreSQL 34.1.1.2 as far as the driver has its parameters. */
import { TableError } from "./table.ts";

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
type SslMode = (typeof SSL_MODES)[number];

export interface PgsqlTarget {
  /** As written, without a password. */
  readonly name: string;
  /** A directory that begins with `/` holds the socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: string;
  readonly dbname: string | undefined;
  readonly sslMode: SslMode;
  /** Paths; sslrootcert may be "system". */
  readonly sslFiles: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly applicationName: string | undefined;
  readonly serverOptions: string | undefined;
}

export interface PgsqlLogin {
  readonly user: string;
  readonly password: string;
  readonly dbname: string;
}

const DEFAULT_PORT = 5432;
const DEFAULT_DIRECTORY = "/var/run/postgresql";
const URI = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
/** Settings of libpq that change nothing here: time limits are ours, the driver keeps connections alive. */
const IGNORED =
  /^(?:connect_timeout|keepalives\w*|tcp_user_timeout|client_encoding|fallback_application_name|gssencmode|channel_binding|sslcompression|sslsni)$/;
const HONOURED = /^(?:host|hostaddr|port|dbname|user|password|ssl\w*|application_name|options)$/;

export function isPgsqlUri(word: string): boolean {
  return /^postgres(?:ql)?:\/\//.test(word);
}

/** Throws TableError; the text never holds a password. A URI brings its own user, password and database. */
export function parsePgsqlHost(word: string, login: PgsqlLogin): PgsqlTarget {
  if (isPgsqlUri(word)) return parseUri(word);
  const { host, port } = splitHostPort(word.replace(/^(?:unix|inet):/, ""), DEFAULT_PORT);
  return {
    name: word,
    host: host === "" ? DEFAULT_DIRECTORY : host,
    port,
    user: login.user || undefined,
    password: login.password,
    dbname: login.dbname,
    sslMode: "prefer",
    sslFiles: {},
    applicationName: undefined,
    serverOptions: undefined,
  };
}

/** `host`, `host:port`, `[address]:port`, `address`. Throws TableError for a bad port. */
export function splitHostPort(text: string, fallback: number): { readonly host: string; readonly port: number } {
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(text);
  if (bracketed) return { host: bracketed[1] ?? "", port: portOf(bracketed[2], text, fallback) };
  const colon = text.lastIndexOf(":");
  const lonelyAddress = colon !== text.indexOf(":") && !text.startsWith("/");
  if (colon < 0 || lonelyAddress) return { host: text, port: fallback };
  return { host: text.slice(0, colon), port: portOf(text.slice(colon + 1), text, fallback) };
}

/** Of the services file only the names of the two databases are known. */
function portOf(text: string | undefined, host: string, fallback: number): number {
  if (text === undefined || text === "") return fallback;
  if (text === "postgresql" || text === "mysql") return text === "mysql" ? 3306 : DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new TableError(`bad port in "${host}": write a number from 1 to 65535`);
  return port;
}

function parseUri(word: string): PgsqlTarget {
  const match = URI.exec(word);
  if (!match) throw new TableError(`bad connection URI "${withoutPassword(word)}"`);
  const [, login = "", authority = "", path = "", query = ""] = match;
  const name = withoutPassword(word);
  const parameters = parametersOf(query, name);
  const { host, port } = splitHostPort(authority, DEFAULT_PORT);
  const colon = login.indexOf(":");
  const [user, password] = colon < 0 ? [login, ""] : [login.slice(0, colon), login.slice(colon + 1)];
  const of = (parameter: string, text: string) => parameters.get(parameter) ?? (decode(text, name) || undefined);
  return {
    name,
    host: parameters.get("hostaddr") ?? of("host", host) ?? DEFAULT_DIRECTORY,
    port: portOf(parameters.get("port"), name, port),
    user: of("user", user),
    password: of("password", password) ?? "",
    dbname: of("dbname", path),
    sslMode: sslModeOf(parameters, name),
    sslFiles: sslFilesOf(parameters),
    applicationName: parameters.get("application_name"),
    serverOptions: parameters.get("options"),
  };
}

function parametersOf(query: string, name: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split("&").filter(Boolean)) {
    const equals = pair.indexOf("=");
    const key = decode(equals < 0 ? pair : pair.slice(0, equals), name);
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1), name);
    if (key === "target_session_attrs" && value === "any") continue;
    if (IGNORED.test(key)) continue;
    if (!HONOURED.test(key)) throw new TableError(`connection URI "${name}": parameter "${key}" is not supported`);
    parameters.set(key, value);
  }
  return parameters;
}

function sslModeOf(parameters: ReadonlyMap<string, string>, name: string): SslMode {
  const text = parameters.get("sslmode") ?? (parameters.get("ssl") === "true" ? "require" : "prefer");
  const mode = SSL_MODES.find((known) => known === text);
  if (!mode) throw new TableError(`connection URI "${name}": bad sslmode "${text}"`);
  // libpq: with a root certificate, "require" verifies.
  return mode === "require" && parameters.has("sslrootcert") ? "verify-ca" : mode;
}

function sslFilesOf(parameters: ReadonlyMap<string, string>): PgsqlTarget["sslFiles"] {
  const [ca, cert, key] = ["sslrootcert", "sslcert", "sslkey"].map((name) => parameters.get(name));
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function decode(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new TableError(`connection URI "${name}": bad percent encoding`, { cause });
  }
}

function withoutPassword(uri: string): string {
  return uri
    .replace(/^(\w+:\/\/)([^/?#]*)@/, (_, scheme: string, login: string) => {
      return `${scheme}${login.replace(/:.*$/s, "")}@`;
    })
    .replace(/([?&]password=)[^&]*/g, "$1…");
}
