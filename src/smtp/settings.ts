/** smtp/settings.ts: the parameters of one client transport, read once, under the names of its protocol. */
import { domainToASCII } from "node:url";
import { type BodyLimits, bodyLimits } from "../cleanup/reencode.ts";
import type { Parameters } from "../config/parameters.ts";
import { type TlsSettings, tlsSettingsOf } from "./tls-settings.ts";

export type Protocol = "smtp" | "lmtp";

/** How hosts are found. */
export interface LookupSettings {
  readonly families: ReadonlySet<4 | 6>;
  readonly preference: "any" | "ipv4" | "ipv6";
  readonly balance: boolean;
  readonly randomize: boolean;
  /** False: a domain is the name of a host. */
  readonly exchangers: boolean;
  /** smtp_host_lookup, in the order of use. */
  readonly methods: readonly ("dns" | "native")[];
  readonly ignoreMxError: boolean;
  readonly deferNoMxAddress: boolean;
  /** smtp_dns_reply_filter. */
  readonly replyFilter: readonly string[];
}

export interface Settings {
  readonly protocol: Protocol;
  readonly myhostname: string;
  readonly heloName: string;
  readonly defaultPort: string;
  readonly queueDirectory: string;
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
  /** A priority goes in the header to a server that does not know MT-PRIORITY. */
  readonly priorityTunnel: boolean;
  /** The last command of an address probe. */
  readonly probeTarget: "rcpt" | "data";
  readonly bindAddress: string;
  readonly bindAddress6: string;
  readonly bindEnforce: boolean;
  readonly addressLimit: number;
  readonly sessionLimit: number;
  readonly skip5xxGreeting: boolean;
  readonly discardKeywords: ReadonlySet<string>;
  /** Tables of the same by address. */
  readonly discardMaps: readonly string[];
  readonly hello: { readonly always: boolean; readonly never: boolean };
  readonly lookup: LookupSettings;
  /** Next hops after the request's own. */
  readonly fallbackRelay: readonly string[];
  /** As a next hop; one that does not exist is our mistake. */
  readonly relayhost: string;
  /** One table, or "". */
  readonly replyFilter: string;
  readonly statusFilter: readonly string[];
  readonly perRequestDeadline: boolean;
  /** Bytes a second. */
  readonly minDataRate: number;
  readonly quoteEnvelope: boolean;
  /** Bytes without CRLF; 0: no limit. */
  readonly lineLimit: number;
  /** How content is read that a server cannot take as it is; undefined: disable_mime_output_conversion. */
  readonly conversion: BodyLimits | undefined;
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
    /** Upper case. */
    readonly mechanisms: readonly string[];
    readonly options: ReadonlySet<string>;
    readonly tlsOptions: ReadonlySet<string>;
    readonly verifiedOptions: ReadonlySet<string>;
    readonly bySender: boolean;
  };
  /** How long mail waits at least between two tries. */
  readonly minimalBackoffMs: number;
  readonly tls: TlsSettings;
}

/** EHLO has A-labels (RFC 6531 §3.7.1); what is no domain stays as it is written. */
function asciiName(name: string): string {
  return /[^\x00-\x7f]/.test(name) ? domainToASCII(name) || name : name;
}

/** Reads the settings. Throws ParameterError; check and reload have done so before. */
export function settingsOf(params: Parameters, protocol: Protocol): Settings {
  const smtp = protocol === "smtp";
  return {
    protocol,
    myhostname: params.get("myhostname"),
    heloName: asciiName(params.get(smtp ? "smtp_helo_name" : "lmtp_lhlo_name")),
    defaultPort: params.get(`${protocol}_tcp_port`),
    queueDirectory: params.text("queue_directory"),
    timeouts: timeoutsOf(params, protocol),
    sendXforward: params.get(`${protocol}_send_xforward_command`),
    priorityTunnel: smtp && params.get("postern_priority_tunnel"),
    probeTarget: params.get(`${protocol}_address_verify_target`),
    bindAddress: unbracketed(params.get(`${protocol}_bind_address`)),
    bindAddress6: unbracketed(params.get(`${protocol}_bind_address6`)),
    bindEnforce: params.get(`${protocol}_bind_address_enforce`),
    addressLimit: unlimited(params.get(`${protocol}_mx_address_limit`)),
    sessionLimit: unlimited(params.get(`${protocol}_mx_session_limit`)),
    skip5xxGreeting: params.get(`${protocol}_skip_5xx_greeting`),
    discardKeywords: upper(params.get(smtp ? "smtp_discard_ehlo_keywords" : "lmtp_discard_lhlo_keywords")),
    discardMaps: params.get(smtp ? "smtp_discard_ehlo_keyword_address_maps" : "lmtp_discard_lhlo_keyword_address_maps"),
    hello: {
      always: !smtp || params.get("smtp_always_send_ehlo"),
      never: smtp && params.get("smtp_never_send_ehlo"),
    },
    lookup: lookupOf(params, protocol),
    fallbackRelay: params.get(`${protocol}_fallback_relay`),
    relayhost: params.text("relayhost"),
    replyFilter: params.get(`${protocol}_reply_filter`),
    statusFilter: params.get(`${protocol}_delivery_status_filter`),
    perRequestDeadline: params.get(`${protocol}_per_request_deadline`),
    minDataRate: params.get(`${protocol}_min_data_rate`),
    quoteEnvelope: params.get(`${protocol}_quote_rfc821_envelope`),
    lineLimit: params.get(`${protocol}_line_length_limit`),
    conversion: params.get("disable_mime_output_conversion") ? undefined : bodyLimits(params),
    cache: {
      onDemand: params.get(`${protocol}_connection_cache_on_demand`),
      destinations: lower(params.get(`${protocol}_connection_cache_destinations`)),
      idleMs: params.get(`${protocol}_connection_cache_time_limit`),
      uses: unlimited(params.get(`${protocol}_connection_reuse_count_limit`)),
      lifeMs: params.get(`${protocol}_connection_reuse_time_limit`),
    },
    sasl: saslOf(params, protocol),
    minimalBackoffMs: params.get("minimal_backoff_time"),
    tls: tlsSettingsOf(params, protocol),
  };
}

function lookupOf(params: Parameters, protocol: Protocol): LookupSettings {
  const protocols = params.get("inet_protocols").map((word) => word.toLowerCase());
  const families = new Set<4 | 6>();
  if (protocols.some((word) => word === "all" || word === "ipv4")) families.add(4);
  if (protocols.some((word) => word === "all" || word === "ipv6")) families.add(6);
  const level = params.get(`${protocol}_dns_support_level`);
  const disabled = level === "" ? params.get("disable_dns_lookups") : level === "disabled";
  const methods = disabled ? ["native"] : params.get(`${protocol}_host_lookup`);
  return {
    families,
    preference: params.get(`${protocol}_address_preference`),
    balance: params.get(`${protocol}_balance_inet_protocols`),
    randomize: params.get(`${protocol}_randomize_addresses`),
    exchangers: !disabled,
    methods: (["dns", "native"] as const).filter((method) => methods.includes(method)),
    ignoreMxError: params.get("ignore_mx_lookup_error"),
    deferNoMxAddress: params.get(`${protocol}_defer_if_no_mx_address_found`),
    replyFilter: params.get(`${protocol}_dns_reply_filter`),
  };
}

function saslOf(params: Parameters, protocol: Protocol): Settings["sasl"] {
  return {
    enable: params.get(`${protocol}_sasl_auth_enable`),
    softBounce: params.get(`${protocol}_sasl_auth_soft_bounce`),
    passwordMaps: params.get(`${protocol}_sasl_password_maps`),
    mechanisms: [...upper(params.get(`${protocol}_sasl_mechanism_filter`))],
    options: lower(params.get(`${protocol}_sasl_security_options`)),
    tlsOptions: lower(params.get(`${protocol}_sasl_tls_security_options`)),
    verifiedOptions: lower(params.get(`${protocol}_sasl_tls_verified_security_options`)),
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

/** Both forms are allowed for own addresses. */
function unbracketed(address: string): string {
  return address.replace(/^\[(.*)\]$/, "$1");
}

function lower(words: readonly string[]): ReadonlySet<string> {
  return new Set(words.map((word) => word.toLowerCase()));
}

function upper(words: readonly string[]): ReadonlySet<string> {
  return new Set(words.map((word) => word.toUpperCase()));
}
