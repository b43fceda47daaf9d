/** tables/mysql-hosts.ts: where and how a mysql table connects: `hosts`, the login, `tls_*` and `option_file` of
 *  mysql_table(5). Settings of the table go before those of the option file. */
import { canonicalIp } from "../base/cidr.ts";
import { type MysqlOptions, parseMysqlOptions } from "./mysql-options.ts";
import { splitHostPort } from "./pgsql-hosts.ts";
import type { QueryFile } from "./query-file.ts";
import { hostWords } from "./sql-table.ts";
import { type FileSource, TableError } from "./table.ts";

export interface MysqlTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ciphers?: string;
  /** The chain must lead to `ca`, or to an authority of Node's. */
  readonly rejectUnauthorized: boolean;
  /** The certificate must name the host. */
  readonly verifyIdentity: boolean;
}

export interface MysqlTarget {
  /** As written. */
  readonly name: string;
  readonly at: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly user: string;
  readonly password: string;
  readonly dbname: string;
  readonly charset: string;
  readonly tls: MysqlTls | undefined;
}

const DEFAULT_SOCKET = "/run/mysqld/mysqld.sock";
const DEFAULT_PORT = 3306;

/** Throws TableError with file and line. */
export function mysqlTargets(file: QueryFile, files: FileSource): readonly MysqlTarget[] {
  const options = optionsOf(file, files);
  const own = (name: string, option: string) => file.text(name) || (options.get(option) ?? "");
  const dbname = own("dbname", "database");
  if (dbname === "") throw new TableError(`${file.path}: the setting "dbname" is missing`);
  const shared = {
    user: own("user", "user"),
    password: own("password", "password"),
    dbname,
    charset: file.text("charset") || (options.get("default_character_set") ?? "utf8mb4"),
    tls: tlsOf(file, files, options),
  };
  const targets = placesOf(file, options).map((place) => ({ ...place, ...shared }));
  const unnamed = targets.find(({ at, tls }) => tls?.verifyIdentity && "host" in at && canonicalIp(at.host));
  // mysql2 compares the certificate of an address with "localhost" instead.
  if (unnamed) throw file.bad("hosts", `tls_verify_cert needs host names, "${unnamed.name}" is an address`);
  return targets;
}

function optionsOf(file: QueryFile, files: FileSource): MysqlOptions {
  const path = file.text("option_file");
  if (path === "") return new Map();
  if (!path.startsWith("/")) throw file.bad("option_file", `"${path}" is not an absolute path`);
  return parseMysqlOptions(files.read(path), path, file.text("option_group", "client"));
}

function placesOf(file: QueryFile, options: MysqlOptions): readonly Pick<MysqlTarget, "name" | "at">[] {
  const socketPath = options.get("socket") ?? DEFAULT_SOCKET;
  const host = options.get("host");
  const port = options.get("port");
  if (file.text("hosts") === "" && host && host !== "localhost") {
    return [parsePlace(file, `${host.includes(":") ? `[${host}]` : host}:${port ?? DEFAULT_PORT}`, socketPath)];
  }
  return hostWords(file).map((word) => parsePlace(file, word, socketPath));
}

/** "localhost" is the default socket, as in the C library. */
function parsePlace(file: QueryFile, word: string, socketPath: string): Pick<MysqlTarget, "name" | "at"> {
  if (word.startsWith("unix:")) {
    const path = word.slice("unix:".length);
    if (!path.startsWith("/")) throw file.bad("hosts", `"${word}" is not unix: and an absolute path`);
    return { name: word, at: { socketPath: path } };
  }
  try {
    const { host, port } = splitHostPort(word.replace(/^inet:/, ""), DEFAULT_PORT);
    if (host === "") throw new TableError(`"${word}" names no host`);
    return { name: word, at: host.toLowerCase() === "localhost" ? { socketPath } : { host, port } };
  } catch (cause) {
    if (cause instanceof TableError) throw file.bad("hosts", cause.message);
    throw cause;
  }
}

/** undefined: none of the settings is there, and the connection is not encrypted. */
function tlsOf(file: QueryFile, files: FileSource, options: MysqlOptions): MysqlTls | undefined {
  const setting = (name: string, option: string) => file.text(name) || (options.get(option) ?? "");
  const ca = setting("tls_CAfile", "ssl_ca");
  if (ca === "" && setting("tls_CApath", "ssl_capath") !== "") {
    throw file.bad("tls_CApath", "directories of certificates are not supported: write tls_CAfile");
  }
  const cert = setting("tls_cert_file", "ssl_cert");
  const key = setting("tls_key_file", "ssl_key");
  const ciphers = setting("tls_ciphers", "ssl_cipher");
  const asked = /^(?:|1|on|true|yes)$/i.test(options.get("ssl_verify_server_cert") ?? "no");
  const verify = file.bool("tls_verify_cert", asked);
  if (!verify && [ca, cert, key, ciphers].every((value) => value === "")) return undefined;
  const read = (path: string) => Buffer.from(files.read(path));
  return {
    ...(ca !== "" && { ca: read(ca) }),
    ...(cert !== "" && { cert: read(cert) }),
    ...(key !== "" && { key: read(key) }),
    ...(ciphers !== "" && { ciphers }),
    rejectUnauthorized: verify || ca !== "",
    verifyIdentity: verify,
  };
}
