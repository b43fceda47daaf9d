/** smtp/tls-settings.ts: the TLS parameters of one client transport, read once, under the names of its protocol. */
import type { Parameters } from "../config/parameters.ts";
import type { CipherGrade } from "../net/tls-context.ts";
import type { OwnCertificateFiles } from "../net/tls-files.ts";

/** Postfix 3.7 takes one label whatever it documents as its default: only who sets it gets more. */
const MULTI_LABEL = "tls_wildcard_matches_multiple_labels";

/** From none to most; the order matters only to who reads it. */
export const TLS_LEVELS = ["none", "may", "encrypt", "fingerprint", "verify", "secure", "dane", "dane-only"] as const;
export type TlsLevel = (typeof TLS_LEVELS)[number];

export interface TlsSettings {
  readonly level: TlsLevel;
  readonly policyMaps: readonly string[];
  /** "smtp_tls_policy_maps", for the log. */
  readonly policyMapsName: string;
  readonly wrapper: boolean;
  readonly logLevel: number;
  readonly noteOffer: boolean;
  readonly serverName: string;
  /** Of level may, and of those above it. */
  readonly may: TlsOffer;
  readonly mandatory: TlsOffer;
  readonly match: {
    readonly fingerprint: readonly string[];
    readonly verify: readonly string[];
    readonly secure: readonly string[];
    readonly digest: string;
    readonly multiLabel: boolean;
  };
  readonly trust: {
    readonly file: string;
    readonly directory: string;
    readonly appendPublic: boolean;
    /** Trusted instead of all others at levels verify and secure. "" is unset. */
    readonly anchorFile: string;
    readonly verifyDepth: number;
  };
  readonly dane: {
    /** What unsigned lists of exchangers mean for signed hosts. */
    readonly insecureMx: "dane" | "encrypt" | "may";
    /** TLSA records are asked for also where a host's addresses are not signed. */
    readonly force: boolean;
    /** Lookups are validated (smtp_dns_support_level = dnssec). */
    readonly dnssec: boolean;
  };
  /** Policies of domains are looked for (RFC 8461). */
  readonly mtaSts: boolean;
  /** Names of exchangers in entries that were made of an MTA-STS policy count. */
  readonly enforceStsMx: boolean;
  /** What is counted for reports (RFC 8460); undefined: nothing. */
  readonly report: { readonly skipResumed: boolean } | undefined;
  readonly own: OwnCertificateFiles;
  /** Lists that the operator gave to a grade; undefined: the library's own. */
  readonly cipherLists: Readonly<Record<CipherGrade, string | undefined>>;
  readonly curves: readonly string[] | undefined;
  /** How long sessions may be resumed; undefined: never. */
  readonly sessionCacheMs: number | undefined;
}

/** What is offered in a handshake. */
export interface TlsOffer {
  readonly protocols: string;
  readonly grade: CipherGrade;
  readonly exclude: readonly string[];
}

/** Reads the settings. Throws ParameterError; check and reload have done so before. */
export function tlsSettingsOf(params: Parameters, p: "smtp" | "lmtp"): TlsSettings {
  const exclude = params.get(`${p}_tls_exclude_ciphers`);
  const digest = params.get(`${p}_tls_fingerprint_digest`);
  return {
    level: levelOf(params, p),
    policyMaps: params.get(`${p}_tls_policy_maps`),
    policyMapsName: `${p}_tls_policy_maps`,
    wrapper: params.get(`${p}_tls_wrappermode`),
    logLevel: Number(params.get(`${p}_tls_loglevel`)) || 0,
    noteOffer: params.get(`${p}_tls_note_starttls_offer`),
    serverName: params.get(`${p}_tls_servername`),
    may: { protocols: params.get(`${p}_tls_protocols`), grade: params.get(`${p}_tls_ciphers`), exclude },
    mandatory: {
      protocols: params.get(`${p}_tls_mandatory_protocols`),
      grade: params.get(`${p}_tls_mandatory_ciphers`),
      exclude: [...exclude, ...params.get(`${p}_tls_mandatory_exclude_ciphers`)],
    },
    match: {
      fingerprint: separated(params.get(`${p}_tls_fingerprint_cert_match`), "|"),
      verify: separated(params.get(`${p}_tls_verify_cert_match`), ":"),
      secure: separated(params.get(`${p}_tls_secure_cert_match`), ":"),
      digest,
      multiLabel: params.source(MULTI_LABEL) !== undefined && params.get(MULTI_LABEL),
    },
    trust: {
      file: params.get(`${p}_tls_CAfile`),
      directory: params.get(`${p}_tls_CApath`),
      appendPublic: params.get("tls_append_default_CA"),
      anchorFile: params.get(`${p}_tls_trust_anchor_file`),
      verifyDepth: params.get(`${p}_tls_scert_verifydepth`),
    },
    dane: {
      force: params.get(`${p}_tls_force_insecure_host_tlsa_lookup`),
      insecureMx: params.get("smtp_tls_dane_insecure_mx_policy"),
      dnssec: params.get(`${p}_dns_support_level`) === "dnssec",
    },
    enforceStsMx: p === "smtp" && params.get("smtp_tls_enforce_sts_mx_patterns"),
    mtaSts: p === "smtp" && params.get("smtp_tls_mta_sts"),
    report: reportOf(params, p),
    own: ownFiles(params, p),
    cipherLists: cipherListsOf(params),
    curves: params.source("tls_eecdh_auto_curves") && params.get("tls_eecdh_auto_curves"),
    sessionCacheMs:
      params.get(`${p}_tls_session_cache_database`) === "" ? undefined : params.get(`${p}_tls_session_cache_timeout`),
  };
}

function reportOf(params: Parameters, p: "smtp" | "lmtp"): TlsSettings["report"] {
  if (p !== "smtp" || !params.get("smtp_tlsrpt_enable")) return undefined;
  return { skipResumed: params.get("smtp_tlsrpt_skip_reused_handshakes") };
}

/** The level for all next hops; the old spellings count only while it is empty. */
function levelOf(params: Parameters, p: "smtp" | "lmtp"): TlsLevel {
  const level = params.get(`${p}_tls_security_level`);
  if (level !== "") return level;
  if (params.get(`${p}_enforce_tls`)) return params.get(`${p}_tls_enforce_peername`) ? "verify" : "encrypt";
  return params.get(`${p}_use_tls`) ? "may" : "none";
}

function separated(items: readonly string[], separator: string): readonly string[] {
  return items.flatMap((item) => item.split(separator)).filter(Boolean);
}

function ownFiles(params: Parameters, p: "smtp" | "lmtp"): OwnCertificateFiles {
  const pairs = [
    { certFile: params.get(`${p}_tls_cert_file`), keyFile: params.get(`${p}_tls_key_file`) },
    { certFile: params.get(`${p}_tls_eccert_file`), keyFile: params.get(`${p}_tls_eckey_file`) },
  ];
  return {
    chainFiles: params.get(`${p}_tls_chain_files`),
    pairs: pairs.filter(({ certFile }) => certFile !== "" && certFile.toLowerCase() !== "none"),
  };
}

function cipherListsOf(params: Parameters): TlsSettings["cipherLists"] {
  const own = (name: "tls_high_cipherlist" | "tls_medium_cipherlist" | "tls_null_cipherlist") =>
    params.source(name) && params.get(name);
  const medium = own("tls_medium_cipherlist");
  return { high: own("tls_high_cipherlist"), medium, low: medium, export: medium, null: own("tls_null_cipherlist") };
}
