/** smtpd/settings.ts: the parameters of one service, read once, so that no session looks anything up by name. */
import type { Parameters } from "../config/parameters.ts";
import type { PathOptions } from "../mail/path.ts";
import { type LimitSettings, readLimits } from "./client-limits.ts";
import { type DiscardedKeywords, discardedOf } from "./discarded-keywords.ts";
import { type ForbiddenCommands, parseForbiddenCommands } from "./forbidden-commands.ts";
import { readQuotas, type SessionQuotas } from "./session-quotas.ts";
import { readSubmissionSettings, type SubmissionSettings } from "./submission-settings.ts";

export interface SmtpdSettings {
  readonly hostname: string;
  readonly banner: string;
  readonly timeoutMs: number;
  readonly tlsTimeoutMs: number;
  readonly perRequestDeadline: boolean;
  /** Bytes per second. */
  readonly minDataRate: number;
  readonly peernameLookup: boolean;
  readonly logPort: boolean;
  readonly heloRequired: boolean;
  readonly vrfyDisabled: boolean;
  readonly quotas: SessionQuotas;
  /** Which services take REQUIRETLS. */
  readonly requireTls: "submission" | "yes" | "no";
  readonly recipientOvershootLimit: number;
  readonly softErrorLimit: number;
  readonly hardErrorLimit: number;
  readonly errorSleepMs: number;
  readonly junkLimit: number;
  /** Upper case. */
  readonly noopCommands: ReadonlySet<string>;
  readonly forbiddenCommands: ForbiddenCommands;
  readonly forbidPipelining: boolean;
  readonly bareNewline: "no" | "normalize" | "note" | "reject";
  readonly bareNewlineCode: number;
  /** Where no table says otherwise. */
  readonly discarded: DiscardedKeywords;
  /** How MAIL and RCPT addresses are read. */
  readonly pathSyntax: Omit<PathOptions, "nullAllowed">;
  readonly strictSmtputf8: boolean;
  readonly smtputf8: boolean;
  readonly lineLimit: number;
  readonly saslResponseLimit: number;
  readonly brokenSaslClients: boolean;
  /** 0: no limit. */
  readonly messageSizeLimit: number;
  readonly queueMinFree: number;
  readonly tlsLevel: "none" | "may" | "encrypt";
  readonly tlsWrapper: boolean;
  readonly tlsAuthOnly: boolean;
  readonly tlsLogLevel: number;
  /** Only clients with a trusted certificate are served. */
  readonly tlsCertificateRequired: boolean;
  /** Milliseconds for the PROXY header that begins each connection; undefined: there is none. */
  readonly proxyHeaderMs: number | undefined;
  readonly explainLog: boolean;
  readonly limits: LimitSettings;
  /** Whether the queue id waits for the first accepted recipient. */
  readonly delayOpen: boolean;
  /** postern_reply_codes = rfc6409. */
  readonly rfcReplyCodes: boolean;
  /** Whether who has logged in may send with the null sender. */
  readonly lenientEnvid: boolean;
  readonly authenticatedNullSender: boolean;
  /** Every 5xx becomes 4xx. */
  readonly softBounce: boolean;
  readonly submission: SubmissionSettings;
}

/** Throws ParameterError for a bad value. */
export function readSettings(params: Parameters): SmtpdSettings {
  const bareNewline = params.get("smtpd_forbid_bare_newline");
  return {
    hostname: params.get("myhostname"),
    banner: params.get("smtpd_banner"),
    timeoutMs: params.get("smtpd_timeout"),
    tlsTimeoutMs: params.get("smtpd_starttls_timeout"),
    perRequestDeadline: params.get("smtpd_per_request_deadline"),
    minDataRate: params.get("smtpd_min_data_rate"),
    peernameLookup: params.get("smtpd_peername_lookup"),
    logPort: params.get("smtpd_client_port_logging"),
    heloRequired: params.get("smtpd_helo_required"),
    vrfyDisabled: params.get("disable_vrfy_command"),
    quotas: readQuotas(params),
    requireTls: requireTlsOf(params),
    recipientOvershootLimit: params.get("smtpd_recipient_overshoot_limit"),
    softErrorLimit: params.get("smtpd_soft_error_limit"),
    hardErrorLimit: params.get("smtpd_hard_error_limit"),
    errorSleepMs: params.get("smtpd_error_sleep_time"),
    junkLimit: params.get("smtpd_junk_command_limit"),
    noopCommands: new Set(params.get("smtpd_noop_commands").map((word) => word.toUpperCase())),
    forbiddenCommands: parseForbiddenCommands(params.get("smtpd_forbidden_commands")),
    forbidPipelining: params.get("smtpd_forbid_unauth_pipelining"),
    bareNewline: bareNewline === "yes" ? "normalize" : bareNewline,
    bareNewlineCode: params.get("smtpd_forbid_bare_newline_reject_code"),
    discarded: discardedOf(params.get("smtpd_discard_ehlo_keywords")),
    pathSyntax: {
      strict: params.get("strict_rfc821_envelopes"),
      utf8: params.get("smtputf8_enable"),
      minUser: params.get("allow_min_user"),
      strictAddress: params.get("postern_reply_codes") === "rfc6409",
    },
    strictSmtputf8: params.get("strict_smtputf8"),
    smtputf8: params.get("smtputf8_enable"),
    lineLimit: params.get("line_length_limit"),
    ...readMoreSettings(params),
  };
}

function readMoreSettings(params: Parameters) {
  const tlsWrapper = params.get("smtpd_tls_wrappermode");
  const tlsLevel = tlsWrapper ? ("encrypt" as const) : tlsLevelOf(params);
  return {
    saslResponseLimit: params.get("smtpd_sasl_response_limit"),
    brokenSaslClients: params.get("broken_sasl_auth_clients"),
    messageSizeLimit: params.get("message_size_limit"),
    queueMinFree: params.get("queue_minfree"),
    tlsLevel,
    tlsWrapper,
    // Postfix: encrypt implies that AUTH needs TLS.
    tlsAuthOnly: tlsLevel === "encrypt" || params.get("smtpd_tls_auth_only"),
    tlsLogLevel: params.get("smtpd_tls_loglevel"),
    tlsCertificateRequired: tlsLevel === "encrypt" && params.get("smtpd_tls_req_ccert"),
    proxyHeaderMs: proxyHeaderMs(params),
    explainLog: params.get("postern_explain_log"),
    limits: readLimits(params),
    softBounce: params.get("soft_bounce"),
    submission: readSubmissionSettings(params),
    lenientEnvid: params.get("postern_lenient_envid"),
    rfcReplyCodes: params.get("postern_reply_codes") === "rfc6409",
    authenticatedNullSender: params.get("postern_authenticated_null_sender"),
    delayOpen: params.get("smtpd_delay_open_until_valid_rcpt"),
  };
}

/** What a content filter sends back comes as new mail, without the demand. */
function requireTlsOf(params: Parameters): SmtpdSettings["requireTls"] {
  const services = params.get("postern_requiretls_enable");
  return services === "submission" && params.get("content_filter") !== "" ? "no" : services;
}

/** A postscreen service, which is a plain smtpd here, has parameters of its own. */
function proxyHeaderMs(params: Parameters): number | undefined {
  const program = params.text("process_name") === "postscreen" ? "postscreen" : "smtpd";
  if (params.get(`${program}_upstream_proxy_protocol`) === "") return undefined;
  return params.get(`${program}_upstream_proxy_timeout`);
}

/** smtpd_tls_security_level, or what the two older parameters say. */
export function tlsLevelOf(params: Parameters): "none" | "may" | "encrypt" {
  const level = params.get("smtpd_tls_security_level");
  if (level !== "") return level;
  if (params.get("smtpd_enforce_tls")) return "encrypt";
  return params.get("smtpd_use_tls") ? "may" : "none";
}
