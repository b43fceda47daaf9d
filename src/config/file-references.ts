/** config/file-references.ts: which files a configuration names, so that the master can read them for the workers:
 *  TLS keys and certificates, the user file, the source text of tables, and /files in pattern lists. */
import { posix } from "node:path";
import { splitList } from "./declare.ts";
import { parseMainCf } from "./main-cf.ts";
import { ParameterError, type Parameters } from "./parameters.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, SourceRef } from "./snapshot.ts";
import { isWithoutEffect } from "./without-effect.ts";

export interface FileReference {
  /** Absolute. */
  readonly path: string;
  readonly parameter: string;
  /** undefined: a default names it. */
  readonly at: SourceRef | undefined;
  /** "pattern": its words may name more files. "settings": so may the settings of a database client in it. "index": beside a
   *  table's text, and may be missing. "signing": names keys. "rules": a table whose order counts. "value": its first line
   *  is the value of the parameter. */
  readonly kind:
    | "key"
    | "signing"
    | "table"
    | "rules"
    | "index"
    | "pattern"
    | "settings"
    | "directory"
    | "authority"
    | "value";
  /** Where it is looked for if it is not at `path`. */
  readonly fallback?: string | undefined;
}

/** Behind a table's name: what `postern postmap` writes. Never the name of a file that Postfix writes. */
const INDEX_SUFFIX = ".postern-index";

/** Types whose content is a text file at this path. */
const TEXT_TABLE = /(?:^|[\s,{!])(?:proxy:)?(?:hash|btree|lmdb|cdb|dbm|sdbm|texthash):([^\s,{}]+)/g;
const RULE_TABLE = /(?:^|[\s,{!])(?:proxy:)?(?:cidr|regexp|pcre):([^\s,{}]+)/g;

/** Types that may have an index beside the text. */
const INDEXED_TABLE = /(?:^|[\s,{!])(?:proxy:)?(hash|btree|lmdb|cdb|dbm|sdbm):([^\s,{}]+)/g;

/** Database clients whose settings stand in a file; any other name means parameters of main.cf, and `ldap://` is a server. */
const SETTINGS_FILE = /(?:^|[\s,{!])(?:proxy:)?(?:pgsql|mysql|sqlite|ldap|memcache):((?!\/\/)[/.][^\s,{}]*)/g;

/** unix:passwd.byname and unix:group.byname. */
const SYSTEM_TABLE = /(?:^|[\s,{!])(?:proxy:)?unix:(passwd|group)\.by/g;

/** Databases that Postfix's programs write, and what newaliases makes: no mail is looked up there. */
const WRITTEN_BY_PROGRAMS =
  /(?:_cache_database|_cache_map|_cache_name|^address_verify_map|^tls_random_exchange_name|^alias_database)$/;

/** Lists in which a word that begins with `/` is a file of more words. */
const PATTERN_LISTS: ReadonlySet<string> = new Set(
  `mynetworks mydestination relay_domains virtual_alias_domains virtual_mailbox_domains debug_peer_list
   permit_mx_backup_networks smtpd_client_event_limit_exceptions smtpd_authorized_xclient_hosts
   smtpd_authorized_xforward_hosts smtpd_authorized_verp_clients smtpd_sasl_exceptions_networks
   smtpd_forbid_bare_newline_exclusions postern_authentication_trusted_clients
   postern_submission_extension_clients smtpd_log_access_permit_actions fast_flush_domains authorized_submit_users
   authorized_flush_users authorized_mailq_users`.split(/\s+/),
);

const TLS_FILE = /_tls_/;

/** Words of file parameters that are no file names. */
const NO_FILE = /^(?:|none|auto)$/i;

/** Every file once, at the place that names it first. */
export function referencedFiles(snapshot: ConfigSnapshot): readonly FileReference[] {
  const found = new Map<string, FileReference>();
  const scopes = [undefined, ...snapshot.services.filter((service) => service.overrides.length > 0)];
  for (const service of scopes) {
    const params = scopeOf(snapshot, service);
    const set = [...snapshot.mainCf, ...(service?.overrides ?? [])].map(({ name }) => name);
    for (const name of new Set([...Object.keys(REGISTRY), ...set])) {
      if (isWithoutEffect(name)) continue; // nothing here opens it
      for (const reference of referencesOf(params, name, snapshot.configDirectory)) {
        const before = found.get(reference.path);
        if (!before || (!before.at && reference.at)) found.set(reference.path, reference);
      }
    }
  }
  return [...found.values()];
}

/** The same, and the files that those which could be read name in turn. */
export function allReferences(snapshot: ConfigSnapshot): ReadonlyMap<string, FileReference> {
  const found = new Map<string, FileReference>();
  const pending = [...referencedFiles(snapshot)];
  for (let next = pending.shift(); next; next = pending.shift()) {
    const image = snapshot.files.get(next.path);
    if (found.has(next.path) || image === undefined) continue;
    found.set(next.path, next);
    if (!("bytes" in image)) continue;
    pending.push(...nestedReferences(next, new TextDecoder().decode(image.bytes), snapshot.configDirectory));
  }
  return found;
}

function referencesOf(params: Parameters, name: string, configDirectory: string): readonly FileReference[] {
  const declaration = Object.hasOwn(REGISTRY, name) ? REGISTRY[name as ParameterName] : undefined;
  if (declaration?.raw) return [];
  const at = params.source(name);
  try {
    const value = params.valuePath(name);
    if (value !== undefined) return [{ path: value, parameter: name, at, kind: "value" }];
    const text = params.text(name);
    const make = (path: string, kind: FileReference["kind"]) => ({
      path: absolutePath(path, kind, configDirectory),
      parameter: name,
      at,
      kind,
    });
    if (TLS_FILE.test(name) && isKeyParameter(name, declaration?.type)) {
      const kind = /_CApath$/.test(name) ? "directory" : "key";
      return fileNames(text, name, declaration?.type).map((file) => {
        const [path = file, fallback] = tlsFileCandidates(params, file, configDirectory);
        return { path, fallback, parameter: name, at, kind };
      });
    }
    if (isKeyParameter(name, declaration?.type)) {
      const kind = name === "postern_dkim_signing_file" ? "signing" : "key";
      return fileNames(text, name, declaration?.type).map((path) => make(path, kind));
    }
    const tables = WRITTEN_BY_PROGRAMS.test(name) ? [] : tableFiles(text);
    const patterns = PATTERN_LISTS.has(name) ? patternFiles(text, name) : [];
    return [...tables.map(({ path, kind }) => make(path, kind)), ...patterns.map((path) => make(path, "pattern"))];
  } catch (error) {
    if (error instanceof ParameterError) return []; // check reports the bad value
    throw error;
  }
}

/** The key under which the readers look for the image: tables by their normal path, the others as written. */
function absolutePath(path: string, kind: FileReference["kind"], configDirectory: string): string {
  if (kind === "key" || kind === "pattern" || kind === "signing")
    return posix.isAbsolute(path) ? path : posix.join(configDirectory, path);
  return posix.resolve(configDirectory, path);
}

/** Where a TLS file may be: Postfix's daemons look in queue_directory; what stands beside main.cf is found there. */
export function tlsFileCandidates(params: Parameters, path: string, configDirectory: string): readonly string[] {
  if (posix.isAbsolute(path)) return [path.replace(/(?<=.)\/$/, "")];
  return [posix.resolve(configDirectory, params.text("queue_directory"), path), posix.resolve(configDirectory, path)];
}

function fileNames(text: string, name: string, type: string | undefined): readonly string[] {
  const names = type === "list" ? splitList(text, name) : [text];
  return names.filter((path) => !NO_FILE.test(path));
}

function isKeyParameter(name: string, type: string | undefined): boolean {
  if (/_tls_chain_files$/.test(name)) return true;
  return (
    type === "file" &&
    /(?:_tls_.*_file|_tls_CA(?:file|path)|^postern_.*_file|^smtpd_sasl_password_file|^bounce_template_file)$/.test(name)
  );
}

interface NamedFile {
  readonly path: string;
  readonly kind: FileReference["kind"];
}

/** The files behind `type:path` words of any text. */
function tableFiles(text: string): readonly NamedFile[] {
  const named = (of: RegExp, kind: FileReference["kind"]) =>
    Array.from(text.matchAll(of), (match) => ({ path: match[1] ?? "", kind }));
  const system = named(SYSTEM_TABLE, "table").map(({ path, kind }) => ({ path: `/etc/${path}`, kind }));
  const plain = [...named(TEXT_TABLE, "table"), ...named(RULE_TABLE, "rules"), ...indexFiles(text)];
  return [...plain, ...named(SETTINGS_FILE, "settings"), ...system];
}

function indexFiles(text: string): readonly NamedFile[] {
  return [...text.matchAll(INDEXED_TABLE)].flatMap(([, type, path = ""]) =>
    indexPaths(type ?? "", path).map((index) => ({ path: index, kind: "index" as const })),
  );
}

/** Where the index of a table may be: Postern's own, and for `cdb:` Postfix's. */
export function indexPaths(type: string, path: string): readonly string[] {
  return [`${path}${INDEX_SUFFIX}`, ...(type === "cdb" ? [`${path}.cdb`] : [])];
}

/** The `/file` and `!/file` words of a pattern list. Throws ParameterError. */
function patternFiles(text: string, name: string): readonly string[] {
  return splitList(text, name)
    .map((word) => word.replace(/^!+/, ""))
    .filter((word) => word.startsWith("/"));
}

/** The files that a pattern file or a settings file names in turn. */
export function nestedReferences(
  reference: FileReference,
  text: string,
  configDirectory: string,
): readonly FileReference[] {
  const make = ({ path, kind }: NamedFile) => ({ ...reference, path: absolutePath(path, kind, configDirectory), kind });
  if (reference.kind === "settings") return settingsFiles(text).map(make);
  if (reference.kind === "signing") return signingKeys(reference, text);
  if (reference.kind !== "pattern") return [];
  const words = text.replace(/^\s*#.*$/gm, "").split(/[\s,]+/);
  return [...slashWords(words), ...tableFiles(words.join(" "))].map(make);
}

/** The third word of each line; relative names are looked for beside the file. */
function signingKeys(reference: FileReference, text: string): readonly FileReference[] {
  const lines = text.split("\n").map((line) =>
    line
      .replace(/(?:^|\s)#.*$/, "")
      .trim()
      .split(/\s+/),
  );
  const keys = lines.map(([, , path = ""]) => path).filter((path) => path !== "");
  return keys.map((path) => ({ ...reference, path: posix.resolve(posix.dirname(reference.path), path), kind: "key" }));
}

function slashWords(words: readonly string[]): readonly NamedFile[] {
  const paths = words.map((word) => word.replace(/^!+/, "")).filter((word) => word.startsWith("/"));
  return paths.map((path) => ({ path, kind: "pattern" as const }));
}

/** Settings of a database client that name a file: certificates and the option file of mysql. */
const SETTING_OF_FILE = /^(?:option_file|tls_\w*file|tls_cert|tls_key)$/i;

/** Files in such a setting, in the list `domain`, in the table `backup`, and in the connection URIs of pgsql. */
function settingsFiles(text: string): readonly NamedFile[] {
  return parseMainCf(text, "").assignments.flatMap(({ name, value }): readonly NamedFile[] => {
    if (SETTING_OF_FILE.test(name)) return value.startsWith("/") ? [{ path: value, kind: "key" }] : [];
    if (name === "domain") return [...slashWords(value.split(/[\s,]+/)), ...tableFiles(value)];
    if (name === "backup") return tableFiles(value);
    if (name !== "hosts") return [];
    const certificates = Array.from(value.matchAll(/[?&]ssl(?:rootcert|cert|key)=([^&\s,]+)/g), (m) =>
      decode(m[1] ?? ""),
    );
    return certificates.filter((path) => path.startsWith("/")).map((path) => ({ path, kind: "key" }));
  });
}

/** The table itself refuses bad percent encoding. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return "";
    throw error;
  }
}
