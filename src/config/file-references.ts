/** config/file-references.ts: which files a configuration names, so that the master can read them for the workers:
 *  TLS keys and certificates, the user file, the source text of tables, and /files in pattern lists. */
import { posix } from "node:path";
import { splitList } from "./declare.ts";
import { ParameterError, type Parameters } from "./parameters.ts";
import { type ParameterName, REGISTRY } from "./registry.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, SourceRef } from "./snapshot.ts";

export interface FileReference {
  /** Absolute. */
  readonly path: string;
  readonly parameter: string;
  /** undefined: a default names it. */
  readonly at: SourceRef | undefined;
  /** "pattern": its words may name more files. */
  readonly kind: "key" | "table" | "pattern";
}

/** Types whose content is a text file at this path; indexed types are read from their source (design §4). */
const TEXT_TABLE = /(?:^|[\s,{!])(?:proxy:)?(?:hash|btree|lmdb|cdb|dbm|sdbm|texthash|cidr|regexp|pcre):([^\s,{}]+)/g;

/** Database clients whose settings stand in a file; any other name means parameters of main.cf. */
const SETTINGS_FILE = /(?:^|[\s,{!])(?:proxy:)?(?:pgsql|mysql|sqlite|ldap|memcache):([/.][^\s,{}]*)/g;

/** unix:passwd.byname and unix:group.byname. */
const SYSTEM_TABLE = /(?:^|[\s,{!])(?:proxy:)?unix:(passwd|group)\.by/g;

/** Databases that Postfix's programs write; here nobody reads them as text. */
const WRITTEN_BY_PROGRAMS = /(?:_cache_database|_cache_map|^address_verify_map|^tls_random_exchange_name)$/;

/** Lists in which a word that begins with `/` is a file of more words. */
const PATTERN_LISTS: ReadonlySet<string> = new Set(
  `mynetworks mydestination relay_domains virtual_alias_domains virtual_mailbox_domains debug_peer_list
   permit_mx_backup_networks smtpd_client_event_limit_exceptions smtpd_authorized_xclient_hosts
   smtpd_authorized_xforward_hosts smtpd_authorized_verp_clients smtpd_sasl_exceptions_networks
   smtpd_forbid_bare_newline_exclusions smtpd_log_access_permit_actions fast_flush_domains authorized_submit_users
   authorized_flush_users authorized_mailq_users`.split(/\s+/),
);

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
      for (const reference of referencesOf(params, name, snapshot.configDirectory)) {
        const before = found.get(reference.path);
        if (!before || (!before.at && reference.at)) found.set(reference.path, reference);
      }
    }
  }
  return [...found.values()];
}

function referencesOf(params: Parameters, name: string, configDirectory: string): readonly FileReference[] {
  const declaration = Object.hasOwn(REGISTRY, name) ? REGISTRY[name as ParameterName] : undefined;
  if (declaration?.raw) return [];
  const at = params.source(name);
  try {
    const text = params.text(name);
    const make = (path: string, kind: FileReference["kind"]) => ({
      path: absolutePath(path, kind, configDirectory),
      parameter: name,
      at,
      kind,
    });
    if (isKeyParameter(name, declaration?.type)) {
      const names = declaration?.type === "list" ? splitList(text, name) : [text];
      return names.filter((path) => !NO_FILE.test(path)).map((path) => make(path, "key"));
    }
    const tables = WRITTEN_BY_PROGRAMS.test(name) ? [] : tablePaths(text);
    const patterns = PATTERN_LISTS.has(name) ? patternFiles(text, name) : [];
    return [...tables.map((path) => make(path, "table")), ...patterns.map((path) => make(path, "pattern"))];
  } catch (error) {
    if (error instanceof ParameterError) return []; // check reports the bad value
    throw error;
  }
}

/** The key under which the readers look for the image: tables by their normal path, the others as written. */
function absolutePath(path: string, kind: FileReference["kind"], configDirectory: string): string {
  if (kind === "table") return posix.resolve(configDirectory, path);
  return posix.isAbsolute(path) ? path : posix.join(configDirectory, path);
}

function isKeyParameter(name: string, type: string | undefined): boolean {
  if (/_tls_chain_files$/.test(name)) return true;
  return type === "file" && /(?:_tls_.*_file|_tls_CAfile|^postern_.*_file|^smtpd_sasl_password_file)$/.test(name);
}

/** The files behind `type:path` words of any text. */
function tablePaths(text: string): readonly string[] {
  const system = Array.from(text.matchAll(SYSTEM_TABLE), (match) => `/etc/${match[1]}`);
  const named = [TEXT_TABLE, SETTINGS_FILE].flatMap((of) => Array.from(text.matchAll(of), (match) => match[1] ?? ""));
  return [...named, ...system];
}

/** The `/file` and `!/file` words of a pattern list. Throws ParameterError. */
function patternFiles(text: string, name: string): readonly string[] {
  return splitList(text, name)
    .map((word) => word.replace(/^!+/, ""))
    .filter((word) => word.startsWith("/"));
}

/** The files that a pattern file names in turn. */
export function nestedReferences(
  reference: FileReference,
  text: string,
  configDirectory: string,
): readonly FileReference[] {
  if (reference.kind !== "pattern") return [];
  const words = text.replace(/^\s*#.*$/gm, "").split(/[\s,]+/);
  const nested = words.map((word) => word.replace(/^!+/, "")).filter((word) => word.startsWith("/"));
  return [
    ...nested.map((path) => ({ ...reference, path })),
    ...tablePaths(words.join(" ")).map((path) => ({
      ...reference,
      path: absolutePath(path, "table", configDirectory),
      kind: "table" as const,
    })),
  ];
}
