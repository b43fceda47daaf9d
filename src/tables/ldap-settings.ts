/** tables/ldap-settings.ts: the settings of an `ldap:` table (ldap_table(5)), read and checked once, certificates included.
 *  What the driver cannot do is refused here by name, not at the first lookup. */
import { resolve } from "node:path";
import { parseTemplate, type ResultRules, type Template } from "./key-expansion.ts";
import { normalizeFilter } from "./ldap-escape.ts";
import { type LdapScope, type LdapServer, parseLdapServer } from "./ldap-url.ts";
import type { OpenerContext } from "./opener.ts";
import { compileNameList, type DomainList } from "./pattern-list.ts";
import type { QueryFile } from "./query-file.ts";

const KNOWN = `server_host server_port timeout search_base query_filter result_format result_filter domain
  result_attribute special_result_attribute terminal_result_attribute leaf_result_attribute scope bind bind_dn bind_pw
  cache cache_expiry cache_size recursion_limit expansion_limit size_limit dereference chase_referrals version
  debuglevel sasl_mechs sasl_realm sasl_authz_id sasl_minssf start_tls tls_ca_cert_dir tls_ca_cert_file tls_cert
  tls_key tls_require_cert tls_random_file tls_cipher_suite`.split(/\s+/);

const DEREFERENCE = ["never", "search", "find", "always"] as const;
export type Dereference = (typeof DEREFERENCE)[number];

/** How a server is reached and asked. */
export interface LdapAccess {
  /** In the order in which they are tried; at least one. */
  readonly servers: readonly LdapServer[];
  /** For each step: connect, TLS, bind, search. */
  readonly timeoutMs: number;
  /** Undefined: no bind. An empty name binds anonymously. */
  readonly bind: { readonly dn: string; readonly password: string } | undefined;
  readonly startTls: boolean;
  readonly tls: {
    readonly verify: boolean;
    readonly ca: Uint8Array | undefined;
    readonly cert: Uint8Array | undefined;
    readonly key: Uint8Array | undefined;
    readonly ciphers: string | undefined;
  };
  readonly dereference: Dereference;
  /** Entries; 0: no limit. */
  readonly sizeLimit: number;
}

/** Which attributes make the result, and how. */
export interface LdapResults {
  readonly terminal: readonly string[];
  readonly leaf: readonly string[];
  readonly regular: readonly string[];
  readonly special: readonly string[];
  /** All of them in this order, as they are asked for. */
  readonly all: readonly string[];
  readonly recursionLimit: number;
  readonly rules: ResultRules;
}

export interface LdapSettings {
  readonly access: LdapAccess;
  readonly results: LdapResults;
  readonly base: Template;
  readonly filter: Template;
  readonly scope: LdapScope;
  readonly domains: DomainList | undefined;
}

/** Throws TableError, with file and line, for what is wrong or not supported. Warnings go to the log. */
export function readLdapSettings(file: QueryFile, options: OpenerContext): LdapSettings {
  for (const warning of file.unknown(KNOWN)) options.log.warning(warning);
  const filterText = file.text("query_filter", "(mailacceptinggeneralid=%s)");
  const filter = parseTemplate(normalizeFilter(filterText, file.path), `${file.path}: query_filter`);
  if (filter.parts.every(({ kind }) => kind === "text")) {
    options.log.warning(`${file.path}: Fixed query_filter ${filterText} is probably useless`);
  }
  const domains = file.list("domain");
  return {
    access: readAccess(file, options),
    results: readResults(file),
    base: parseTemplate(file.text("search_base"), `${file.path}: search_base`),
    filter,
    scope: readScope(file),
    domains: domains.length === 0 ? undefined : compileNameList(domains, { opener: options.tables }),
  };
}

function readAccess(file: QueryFile, options: OpenerContext): LdapAccess {
  const version = file.number("version", 3);
  if (version !== 2 && version !== 3) throw file.bad("version", `version = ${version}: specify 3`);
  if (file.bool("chase_referrals", false)) {
    throw file.bad("chase_referrals", "chase_referrals = yes is not supported: name the servers in server_host");
  }
  const startTls = file.bool("start_tls", false);
  const servers = readServers(file);
  if (startTls && servers.some(({ tls }) => tls)) {
    throw file.bad("start_tls", "start_tls = yes cannot be used with ldaps: TLS is there already");
  }
  return {
    servers,
    timeoutMs: 1000 * file.number("timeout", 10, { min: 1, max: 3600 }),
    bind: readBind(file),
    startTls,
    tls: readTls(file, options, startTls || servers.some(({ tls }) => tls)),
    dereference: DEREFERENCE[file.number("dereference", 0, { min: 0, max: 3 })] ?? "never",
    sizeLimit: file.number("size_limit", 0, { min: 0, max: 0x7fff_ffff }),
  };
}

function readServers(file: QueryFile): readonly LdapServer[] {
  const port = file.number("server_port", 389, { min: 1, max: 65535 });
  const words = file.list("server_host");
  return (words.length === 0 ? ["localhost"] : words).map((word) => {
    const server = parseLdapServer(word, port);
    if (server) return server;
    throw file.bad("server_host", `bad server "${word}": specify ldap://host:port, ldaps://host or ldapi://%2Fpath`);
  });
}

function readBind(file: QueryFile): LdapAccess["bind"] {
  const bind = file.text("bind", "yes").toLowerCase();
  const credentials = { dn: file.text("bind_dn"), password: file.text("bind_pw") };
  if (bind === "yes" || bind === "simple") return credentials;
  if (bind === "no" || bind === "none") return undefined;
  if (bind === "sasl") throw file.bad("bind", "bind = sasl is not supported: specify yes, with bind_dn and bind_pw");
  throw file.bad("bind", `bind = ${bind}: specify yes or no`);
}

function readTls(file: QueryFile, options: OpenerContext, used: boolean): LdapAccess["tls"] {
  const read = (name: string) => {
    const path = file.text(name);
    return path === "" || !used ? undefined : options.files.read(resolve(options.configDirectory, path));
  };
  const verify = file.bool("tls_require_cert", false);
  if (used && file.text("tls_ca_cert_dir") !== "") {
    if (verify && file.text("tls_ca_cert_file") === "") {
      throw file.bad("tls_ca_cert_dir", "tls_ca_cert_dir is not supported: put the certificates into tls_ca_cert_file");
    }
    options.log.warning(file.bad("tls_ca_cert_dir", "tls_ca_cert_dir is ignored").message);
  }
  const ciphers = file.text("tls_cipher_suite");
  return {
    verify,
    ca: read("tls_ca_cert_file"),
    cert: read("tls_cert"),
    key: read("tls_key"),
    ciphers: ciphers === "" ? undefined : ciphers,
  };
}

function readResults(file: QueryFile): LdapResults {
  const names = (setting: string) => file.list(setting);
  const terminal = names("terminal_result_attribute");
  const leaf = names("leaf_result_attribute");
  const regular = file.has("result_attribute") ? names("result_attribute") : ["maildrop"];
  const special = names("special_result_attribute");
  const format = file.text("result_format", file.text("result_filter", "%s"));
  return {
    terminal,
    leaf,
    regular,
    special,
    all: [...terminal, ...leaf, ...regular, ...special],
    recursionLimit: file.number("recursion_limit", 1000, { min: 1, max: 100_000 }),
    rules: {
      format: parseTemplate(format, `${file.path}: result_format`),
      limit: file.number("expansion_limit", 0, { min: 0 }),
    },
  };
}

function readScope(file: QueryFile): LdapScope {
  const scope = file.text("scope", "sub").toLowerCase();
  if (scope === "sub" || scope === "one" || scope === "base") return scope;
  throw file.bad("scope", `scope = ${scope}: specify sub, one or base`);
}
