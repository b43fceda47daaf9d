/** config/params/smtp-tls.ts: TLS of the relay client, each parameter declared once for smtp_… and lmtp_…. What both ends
 *  share (cipher lists, groups, public CAs) is in tls.ts. */
import { bool, type Declaration, file, int, list, text, time, word } from "../declare.ts";

const LEVELS = ["", "none", "may", "encrypt", "fingerprint", "verify", "secure", "dane", "dane-only"] as const;
const DNS_LEVELS = ["", "disabled", "enabled", "dnssec"] as const;
const GRADES = ["high", "medium", "low", "export", "null"] as const;
const OURS = { origin: "postern" } as const;
const SECOND = { min: 1000 };

function shared(p: "smtp" | "lmtp", secureMatch: string) {
  return { ...demands(p, secureMatch), ...means(p) };
}

/** What is demanded of a next hop. One entry per parameter: the length is that of the table. */
function demands(p: "smtp" | "lmtp", secureMatch: string) {
  return {
    tls_security_level: word(
      "",
      LEVELS,
      "TLS policy: none, may (if offered), encrypt, fingerprint, verify, secure (the certificate must match), dane, dane-only " +
        "(the certificate must match the TLSA records of the host, if it has any; it must have them).",
    ),
    dns_support_level: word(
      "",
      DNS_LEVELS,
      "dnssec: names are looked up so that signed answers are known, as the dane levels need it; disabled: domains have no mail " +
        `exchangers, they are names of hosts, in /etc/hosts first. Empty: disabled with disable_dns_lookups, else enabled.`,
    ),
    use_tls: bool("no", "Old spelling of level may."),
    enforce_tls: bool("no", `Old spelling of level verify, or encrypt with ${p}_tls_enforce_peername = no.`),
    tls_enforce_peername: bool("yes", `With ${p}_enforce_tls: the certificate must be for the host.`),
    tls_policy_maps: list(
      "",
      "Tables of TLS levels by next hop, exactly as it is written (brackets and port included); a plain domain also by its " +
        "parents, `.example.com`. Attributes: match=, protocols=, ciphers=, exclude=, servername=, tafile=, connection_reuse=.",
    ),
    tls_wrappermode: bool("no", "Begin with TLS instead of STARTTLS, as port 465 wants it; needs level encrypt."),
    tls_loglevel: text("0", "1 logs a line for each TLS connection; 2 also names and fingerprints of certificates."),
    tls_note_starttls_offer: bool("no", "Log the hosts that offer STARTTLS where TLS is not used."),
    tls_CAfile: file("", "PEM file with the CA certificates that servers' certificates may be signed by."),
    tls_CApath: file("", `Directory of PEM files with CA certificates, as smtpd_tls_CApath.`),
    tls_force_insecure_host_tlsa_lookup: bool(
      "no",
      "Ask for TLSA records also where the host's addresses are not signed.",
    ),
    tls_scert_verifydepth: int("9", { min: 1 }, "Most CA certificates above a server's."),
    tls_trust_anchor_file: file("", `PEM file of CA certificates, levels verify and secure trust only these instead.`),
    tls_verify_cert_match: list("hostname", "Names of which the certificate must have one at level verify."),
    tls_secure_cert_match: list(
      secureMatch,
      "Names of which the certificate must have one at level secure: nexthop, dot-nexthop (any name below it), hostname, or " +
        "a name; `.example.com` is any name below it.",
    ),
    tls_fingerprint_cert_match: list("", "Fingerprints of certificates or public keys at level fingerprint."),
    tls_fingerprint_digest: text(
      "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
      `Digest of ${p}_tls_fingerprint_cert_match and of match= at level fingerprint.`,
    ),
  };
}

/** What a handshake is made with. */
function means(p: "smtp" | "lmtp") {
  return {
    tls_servername: text("", "Name sent in the TLS handshake (SNI): hostname, nexthop, or a name. Empty: none."),
    tls_protocols: text(">=TLSv1", "TLS versions at level may, as smtpd_tls_protocols."),
    tls_mandatory_protocols: text(">=TLSv1", "TLS versions at the levels above may."),
    tls_ciphers: word("medium", GRADES, "Least cipher grade at level may, as smtpd_tls_ciphers."),
    tls_mandatory_ciphers: word("medium", GRADES, "Least cipher grade at the levels above may."),
    tls_exclude_ciphers: list("", "OpenSSL cipher names or groups never used."),
    tls_mandatory_exclude_ciphers: list("", "Further exclusions at the levels above may."),
    tls_chain_files: list(
      "",
      `PEM files of private keys, each followed by its chain, in the same file or the next: our own certificate, for hosts that ask.`,
    ),
    tls_cert_file: file("", "PEM file with our own certificate; usually none is needed."),
    tls_key_file: file(`$${p}_tls_cert_file`, `PEM file with the private key of ${p}_tls_cert_file.`),
    tls_eccert_file: file("", `PEM file with an ECDSA certificate beside the one in ${p}_tls_cert_file.`),
    tls_eckey_file: file(`$${p}_tls_eccert_file`, `PEM file with the private key of ${p}_tls_eccert_file.`),
    tls_session_cache_database: text(
      "",
      "If set, TLS sessions are kept and resumed: in the memory of each worker, whatever file is named.",
    ),
    tls_session_cache_timeout: time("3600s", "s", SECOND, "How long a TLS session may be resumed."),
  };
}

type Prefixed<P extends string, T> = { readonly [K in keyof T & string as `${P}_${K}`]: T[K] };

function twice<P extends "smtp" | "lmtp">(prefix: P, secureMatch: string): Prefixed<P, ReturnType<typeof shared>> {
  const entries = Object.entries(shared(prefix, secureMatch)).map(([name, d]) => [`${prefix}_${name}`, d]);
  return Object.fromEntries(entries) as Prefixed<P, ReturnType<typeof shared>>;
}

export const SMTP_TLS_PARAMETERS = {
  ...twice("smtp", "nexthop, dot-nexthop"),
  ...twice("lmtp", "nexthop"),
  smtp_tls_dane_insecure_mx_policy: word(
    "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
    ["dane", "encrypt", "may"],
    "TLS to signed hosts with TLSA records, where the list of mail exchangers is not signed.",
  ),
  smtp_tls_mta_sts: bool(
    "no",
    "Look for MTA-STS policies (RFC 8461) of next hops that are domains, where main.cf's level is may, encrypt or dane, and " +
      "no entry of smtp_tls_policy_maps and no TLSA record decides. Policies are kept in queue_directory.",
    { origin: "postern" },
  ),
  smtp_tls_enforce_sts_mx_patterns: bool(
    "yes",
    "Where an entry of smtp_tls_policy_maps says policy_type=sts and names exchangers (mx_host_pattern=): mail goes only to those, " +
      "and the certificate must be for the exchanger's own name. As in later releases of Postfix.",
    OURS,
  ),
  smtp_tlsrpt_enable: bool(
    "no",
    "Count how TLS to mail exchangers goes, and send the daily reports that domains ask for (RFC 8460). Unlike Postfix, no " +
      "separate program is needed.",
  ),
  smtp_tlsrpt_skip_reused_handshakes: bool("yes", "Do not count sessions that were resumed without a full handshake."),
  smtp_tlsrpt_sender: text("postmaster@$mydomain", "Who reports come from; bounces go there, too.", OURS),
  smtp_tlsrpt_organization: text("$mydomain", "The domain name that reports are given in the name of.", OURS),
  smtp_tlsrpt_contact: text("$smtp_tlsrpt_sender", "An address, in each report, to write to about it.", OURS),
  tls_wildcard_matches_multiple_labels: bool(
    "yes",
    "A certificate for *.example.com is good for a.b.example.com, not only for a.example.com. Until it is set, it is not: Postfix " +
      "3.7 does the same, whatever its default says.",
  ),
} satisfies Record<string, Declaration<unknown>>;
