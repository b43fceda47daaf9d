/** smtp/tls-policy.ts: which TLS a next hop must have: the level for all, or its entry in the policy tables (postconf(5)
 *  smtp_tls_policy_maps). An entry that cannot be understood stops the mail: it is never sent with less. Pure but for the
 *  lookups. */
import { domainToASCII } from "node:url";
import { printableUtf8 } from "../mail/printable.ts";
import { isDigest } from "../net/peer-certificate.ts";
import { type CipherGrade, parseTlsProtocols } from "../net/tls-context.ts";
import type { TableOpener } from "../tables/table.ts";
import { firstValue } from "./first-value.ts";
import type { Target } from "./session.ts";
import { TLS_LEVELS, type TlsLevel, type TlsOffer, type TlsSettings } from "./tls-settings.ts";
import type { TlsResultType } from "./tls-tally.ts";

export interface TlsPolicy {
  readonly level: TlsLevel;
  readonly offer: TlsOffer;
  /** Names or fingerprints, as written: "nexthop", ".example.com", "AB:CD:…". */
  readonly match: readonly string[];
  /** "hostname", "nexthop", a name, or "" for none. */
  readonly serverName: string;
  /** PEM files of the only CAs that count. */
  readonly anchorFiles: readonly string[];
  /** Whether the connection may carry further deliveries; undefined: as other settings say. */
  readonly reuse?: boolean | undefined;
  /** The host's name must be in a certificate of a public CA (RFC 8461 §4); not enforced: it is only found out. */
  readonly sts?: { readonly enforced: boolean } | undefined;
  /** What a lookup daemon for MTA-STS tells of the policy that the entry was made of (Postfix 3.10 TLSRPT_README). */
  readonly published?: PublishedPolicy | undefined;
  /** At the dane levels: what is done where DANE does not apply, and where its records cannot be used. */
  readonly otherwise?: { readonly may: TlsPolicy; readonly encrypt: TlsPolicy } | undefined;
}

export interface PublishedPolicy {
  readonly type: "sts" | "no-policy-found";
  readonly domain: string | undefined;
  readonly strings: readonly string[];
  readonly mxHosts: readonly string[];
  /** Why a policy of the domain could not be had. */
  readonly failure: TlsResultType | undefined;
}

/** A policy, or why there is none that could be kept. `listed`: a policy table has it. */
export type PolicyResult = { readonly policy: TlsPolicy; readonly listed?: true } | { readonly problem: string };

const GRADES: ReadonlySet<string> = new Set(["high", "medium", "low", "export", "null"]);
const HOST_NAME =
  /^(?=.{1,253}$)(?!\d+(?:\.\d+)*$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i;

/** The policy of a target. Rejects TableError. */
export async function findTlsPolicy(
  tables: TableOpener,
  settings: TlsSettings,
  target: Pick<Target, "nexthop">,
): Promise<PolicyResult> {
  if (settings.policyMaps.length === 0) return defaultPolicy(settings);
  const name = target.nexthop.replace(/^(?:inet|unix):/, "");
  const value = await firstValue(tables, settings.policyMaps, keysOf(name));
  if (value === undefined) return defaultPolicy(settings);
  const where = `${settings.policyMapsName}, next-hop destination "${printableUtf8(name)}"`;
  const result = parseTlsPolicy(value, settings, where);
  return "problem" in result ? result : { ...result, listed: true };
}

/** The destination as written; only a plain domain has parents. */
function keysOf(name: string): readonly string[] {
  const keys = [name];
  if (!HOST_NAME.test(name)) return keys;
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) keys.push(name.slice(dot));
  return keys;
}

/** What main.cf says for every next hop. */
export function defaultPolicy(settings: TlsSettings): PolicyResult {
  return completed(
    newEntry(settings.level),
    settings,
    settings.policyMapsName.replace("policy_maps", "security_level"),
  );
}

/** What an entry says so far. */
interface Entry {
  readonly level: TlsLevel;
  protocols?: string;
  grade?: CipherGrade;
  exclude?: readonly string[];
  serverName?: string;
  match?: readonly string[];
  anchorFiles?: readonly string[];
  reuse?: boolean;
  readonly published: {
    type?: PublishedPolicy["type"];
    domain?: string;
    failure?: TlsResultType;
    readonly strings: string[];
    readonly mxHosts: string[];
  };
}

/** One value of a policy table: `level name=value …`. `where` begins each complaint. */
export function parseTlsPolicy(text: string, settings: TlsSettings, where: string): PolicyResult {
  const [word, ...attributes] = wordsOf(text);
  if (word === undefined) return { problem: `${where}: invalid empty policy` };
  const level = TLS_LEVELS.find((known) => known === word.toLowerCase());
  if (level === undefined) return { problem: `${where}: invalid security level "${printableUtf8(word)}"` };
  const entry = newEntry(level);
  if (level === "none") return completed(entry, settings, where); // Postfix warns of attributes and goes on
  for (const attribute of attributes) {
    const problem = readAttribute(entry, attribute);
    if (problem !== undefined) return { problem: `${where}: ${printableUtf8(problem)}` };
  }
  return completed(entry, settings, where);
}

function newEntry(level: TlsLevel): Entry {
  return { level, published: { strings: [], mxHosts: [] } };
}

/** Words, and `{ name = text with blanks }` as one word without its braces. */
function wordsOf(text: string): readonly string[] {
  const words = text.match(/\{[^{}]*\}|[^\s,]+/g) ?? [];
  return words.map((word) => {
    const inside = /^\{\s*(.*?)\s*\}$/s.exec(word)?.[1];
    return inside === undefined ? word : inside.replace(/^([^\s=]+)\s*=\s*/, "$1=");
  });
}

/** Adds an attribute to the entry, or says what is wrong with it. */
function readAttribute(entry: Entry, attribute: string): string | undefined {
  const equals = attribute.indexOf("=");
  if (equals < 1) return `malformed attribute/value pair "${attribute}"`;
  const name = attribute.slice(0, equals).toLowerCase();
  const value = attribute.slice(equals + 1);
  const read = Object.hasOwn(ATTRIBUTES, name) ? ATTRIBUTES[name] : undefined;
  if (read === undefined) return `invalid attribute name: "${name}"`;
  if (value === "" && name !== "exclude") return `attribute "${name}" has empty value`;
  return read(entry, value);
}

const MATCHING: ReadonlySet<TlsLevel> = new Set(["fingerprint", "verify", "secure"]);

const ATTRIBUTES: Readonly<Record<string, (entry: Entry, value: string) => string | undefined>> = {
  ciphers(entry, value) {
    if (entry.grade !== undefined) return twice("ciphers");
    if (!GRADES.has(value.toLowerCase())) return `attribute "ciphers" has bad value: "${value}"`;
    entry.grade = value.toLowerCase() as CipherGrade;
    return undefined;
  },
  protocols(entry, value) {
    if (entry.protocols !== undefined) return twice("protocols");
    const parsed = parseTlsProtocols(value);
    if ("problem" in parsed) return parsed.problem;
    entry.protocols = value;
    return undefined;
  },
  servername(entry, value) {
    if (entry.serverName !== undefined) return twice("servername");
    if (!HOST_NAME.test(value)) return `"servername=${value}" specifies an invalid hostname`;
    entry.serverName = value;
    return undefined;
  },
  exclude(entry, value) {
    if (entry.exclude !== undefined) return twice("exclude");
    entry.exclude = value.split(":").filter(Boolean);
    return undefined;
  },
  match(entry, value) {
    const { level } = entry;
    if (!MATCHING.has(level)) return `attribute "match" invalid at security level "${level}"`;
    const items = value.split(level === "fingerprint" ? "|" : ":").filter(Boolean);
    entry.match = [...(entry.match ?? []), ...items];
    return undefined;
  },
  tafile(entry, value) {
    const { level } = entry;
    if (level !== "verify" && level !== "secure") return `attribute "tafile" invalid at security level "${level}"`;
    entry.anchorFiles = [...(entry.anchorFiles ?? []), value];
    return undefined;
  },
  policy_type(entry, value) {
    const type = value.toLowerCase();
    if (type !== "sts" && type !== "no-policy-found") return `attribute "policy_type" has bad value: "${value}"`;
    entry.published.type = type;
    return undefined;
  },
  policy_domain(entry, value) {
    entry.published.domain = value.toLowerCase();
    return undefined;
  },
  policy_string(entry, value) {
    entry.published.strings.push(value);
    return undefined;
  },
  mx_host_pattern(entry, value) {
    entry.published.mxHosts.push(value.toLowerCase());
    return undefined;
  },
  policy_ttl(_entry, value) {
    return /^\d+$/.test(value) ? undefined : `attribute "policy_ttl" has bad value: "${value}"`;
  },
  policy_failure(entry, value) {
    const failure = FAILURES.find((known) => known === value.toLowerCase());
    if (failure === undefined) return `attribute "policy_failure" has bad value: "${value}"`;
    entry.published.failure = failure;
    return undefined;
  },
  connection_reuse(entry, value) {
    if (!/^(?:yes|no)$/i.test(value)) return `attribute "connection_reuse" has bad value: "${value}"`;
    entry.reuse = value.toLowerCase() === "yes";
    return undefined;
  },
};

const FAILURES = [
  "sts-policy-fetch-error",
  "sts-policy-invalid",
  "sts-webpki-invalid",
  "validation-failure",
] as const satisfies readonly TlsResultType[];

function publishedOf({ published }: Entry): PublishedPolicy | undefined {
  const { type, domain, strings, mxHosts, failure } = published;
  return type && { type, domain, strings, mxHosts, failure };
}

function twice(name: string): string {
  return `attribute "${name}" is specified multiple times`;
}

/** The entry with what main.cf says where it is silent. */
function completed(entry: Entry, settings: TlsSettings, where: string): PolicyResult {
  const { level } = entry;
  const serverName = entry.serverName ?? settings.serverName;
  if (level !== "none" && serverName !== "" && !HOST_NAME.test(serverName)) {
    return {
      problem: `"${settings.policyMapsName.replace("policy_maps", "servername")} = ${serverName}" specifies an invalid hostname`,
    };
  }
  const match = entry.match ?? matchOf(level, settings);
  if (level === "fingerprint") {
    if (match.length === 0) {
      return { problem: `${where}: configured at fingerprint security level, but with no fingerprints to match.` };
    }
    if (!isDigest(settings.match.digest)) {
      return { problem: `Digest algorithm "${settings.match.digest}" is not supported` };
    }
  }
  const { anchorFile } = settings.trust;
  const anchors = (level === "verify" || level === "secure") && anchorFile !== "" ? [anchorFile] : [];
  const at = (actual: TlsLevel, general: TlsOffer): TlsPolicy => ({
    level: actual,
    offer: {
      protocols: entry.protocols ?? general.protocols,
      grade: entry.grade ?? general.grade,
      exclude: entry.exclude ?? general.exclude,
    },
    match,
    serverName,
    anchorFiles: entry.anchorFiles ?? anchors,
    reuse: entry.reuse,
    published: publishedOf(entry),
  });
  const policy = at(level, level === "may" ? settings.may : settings.mandatory);
  if (level !== "dane" && level !== "dane-only") return { policy };
  const otherwise = { may: at("may", settings.may), encrypt: at("encrypt", settings.mandatory) };
  return { policy: { ...policy, otherwise } };
}

/** What an MTA-STS policy makes of main.cf's (RFC 8461 §4): names as in RFC 6125, TLS 1.2 or later. */
export function stsPolicy(base: TlsPolicy, mode: "enforce" | "testing", mandatory: TlsOffer): TlsPolicy {
  const shared = { ...base, serverName: "hostname", sts: { enforced: mode === "enforce" } };
  if (mode === "testing") return shared;
  return { ...shared, level: "secure", offer: { ...mandatory, protocols: `${mandatory.protocols} !TLSv1 !TLSv1.1` } };
}

function matchOf(level: TlsLevel, { match }: TlsSettings): readonly string[] {
  if (level === "fingerprint" || level === "verify" || level === "secure") return match[level];
  return [];
}

/** The name of a next hop for certificates: no brackets, no port, A-labels. */
export function nexthopDomain({ nexthop, host, port }: Pick<Target, "nexthop" | "host" | "port">): string {
  if (port === undefined) return host; // a UNIX-domain socket: $myhostname
  const bare = nexthop.replace(/^inet:/, "");
  const name = /^\[(?:ipv6:)?([^\]]+)\]/i.exec(bare)?.[1] ?? bare.replace(/^([^:]*):[^:]*$/, "$1");
  return ascii(name);
}

/** A name in A-labels where it has any other letters. */
export function ascii(name: string): string {
  return /[^\x00-\x7f]/.test(name) ? domainToASCII(name) : name;
}
