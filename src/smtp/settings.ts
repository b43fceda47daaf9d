/** smtp/settings.ts: the parameters of one client transport, read once, under the names of its protocol. */
import type { Parameters } from "../config/parameters.ts";
import { type TlsSettings, tlsSettingsOf } from "./tls-settings.ts";

export type Protocol = "smtp" | "lmtp";

export interface Settings {
  readonly protocol: Protocol;
  readonly myhostname: string;
  readonly heloName: string;
  readonly defaultPort: string;
  readonly queueDirectory: string;
  /** "A" or "AAAA": what a failed host lookup is reported as. */
  readonly addressType: string;
  readonly timeouts: {
    readonly connectMs: number;
    readonly heloMs: number;
    readonly mailMs: number;
    readonly rcptMs: number;
    readonly dataInitMs: number;
    readonly dataXferMs: number;
    readonly dataDoneMs: number;
    readonly rsetMs: number;
    readonly xforwardMs: number;
    readonly startTlsMs: number;
  };
  readonly sendXforward: boolean;
  /** The last command of an address probe. */
  readonly probeTarget: "rcpt" | "data";
  readonly bindAddress: string;
  readonly bindAddress6: string;
  readonly addressLimit: number;
  readonly sessionLimit: number;
  readonly randomize: boolean;
  readonly skip5xxGreeting: boolean;
  readonly deferNoMxAddress: boolean;
  readonly discardKeywords: ReadonlySet<string>;
  readonly cache: {
    readonly onDemand: boolean;
    readonly destinations: ReadonlySet<string>;
    readonly idleMs: number;
    readonly uses: number;
    readonly lifeMs: number;
  };
  readonly sasl: {
    readonly enable: boolean;
    readonly softBounce: boolean;
    readonly passwordMaps: readonly string[];
    readonly mechanisms: ReadonlySet<string>;
    readonly options: ReadonlySet<string>;
    readonly tlsOptions: ReadonlySet<string>;
    readonly bySender: boolean;
  };
  /** How long mail waits at least between two tries. */
  readonly minimalBackoffMs: number;
  readonly tls: TlsSettings;
}

/** Reads the settings. Throws ParameterError; check and reload have done so before. */
export function settingsOf(params: Parameters, protocol: Protocol): Settings {
  const smtp = protocol === "smtp";
  return {
    protocol,
    myhostname: params.get("myhostname"),
    heloName: params.get(smtp ? "smtp_helo_name" : "lmtp_lhlo_name"),
    defaultPort: params.get(`${protocol}_tcp_port`),
    queueDirectory: params.text("queue_directory"),
    addressType: params.text("inet_protocols") === "ipv4" ? "A" : "AAAA",
    timeouts: timeoutsOf(params, protocol),
    sendXforward: params.get(`${protocol}_send_xforward_command`),
    probeTarget: params.get(`${protocol}_address_verify_target`),
    bindAddress: params.get(`${protocol}_bind_address`),
    bindAddress6: params.get(`${protocol}_bind_address6`),
    addressLimit: unlimited(params.get(`${protocol}_mx_address_limit`)),
    sessionLimit: unlimited(params.get(`${protocol}_mx_session_limit`)),
    randomize: params.get(`${protocol}_randomize_addresses`),
    skip5xxGreeting: params.get(`${protocol}_skip_5xx_greeting`),
    deferNoMxAddress: params.get(`${protocol}_defer_if_no_mx_address_found`),
    discardKeywords: upper(params.get(smtp ? "smtp_discard_ehlo_keywords" : "lmtp_discard_lhlo_keywords")),
    cache: {
      onDemand: params.get(`${protocol}_connection_cache_on_demand`),
      destinations: new Set(params.get(`${protocol}_connection_cache_destinations`)),
      idleMs: params.get(`${protocol}_connection_cache_time_limit`),
      uses: unlimited(params.get(`${protocol}_connection_reuse_count_limit`)),
      lifeMs: params.get(`${protocol}_connection_reuse_time_limit`),
    },
    sasl: saslOf(params, protocol),
    minimalBackoffMs: params.get("minimal_backoff_time"),
    tls: tlsSettingsOf(params, protocol),
  };
}

function saslOf(params: Parameters, protocol: Protocol): Settings["sasl"] {
  return {
    enable: params.get(`${protocol}_sasl_auth_enable`),
    softBounce: params.get(`${protocol}_sasl_auth_soft_bounce`),
    passwordMaps: params.get(`${protocol}_sasl_password_maps`),
    mechanisms: upper(params.get(`${protocol}_sasl_mechanism_filter`)),
    options: new Set(params.get(`${protocol}_sasl_security_options`)),
    tlsOptions: new Set(params.get(`${protocol}_sasl_tls_security_options`)),
    bySender: params.get(`${protocol}_sender_dependent_authentication`),
  };
}

function timeoutsOf(params: Parameters, protocol: Protocol): Settings["timeouts"] {
  return {
    connectMs: params.get(`${protocol}_connect_timeout`),
    heloMs: params.get(protocol === "smtp" ? "smtp_helo_timeout" : "lmtp_lhlo_timeout"),
    mailMs: params.get(`${protocol}_mail_timeout`),
    rcptMs: params.get(`${protocol}_rcpt_timeout`),
    dataInitMs: params.get(`${protocol}_data_init_timeout`),
    dataXferMs: params.get(`${protocol}_data_xfer_timeout`),
    dataDoneMs: params.get(`${protocol}_data_done_timeout`),
    xforwardMs: params.get(`${protocol}_xforward_timeout`),
    rsetMs: params.get(`${protocol}_rset_timeout`),
    startTlsMs: params.get(`${protocol}_starttls_timeout`),
  };
}

function unlimited(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : limit;
}

function upper(words: readonly string[]): ReadonlySet<string> {
  return new Set(words.map((word) => word.toUpperCase()));
}
