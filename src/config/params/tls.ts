/** config/params/tls.ts: TLS of the SMTP server, each parameter declared once. The relay client's are in smtp-tls.ts. */
import { bool, type Declaration, file, int, list, text, time, word } from "../declare.ts";

const GRADES = ["high", "medium", "low", "export", "null"] as const;

export const TLS_PARAMETERS = {
  smtpd_tls_security_level: word(
    "",
    ["", "none", "may", "encrypt"] as const,
    "none: no STARTTLS; may: offer it; encrypt: demand it before mail. Empty: smtpd_use_tls and smtpd_enforce_tls decide.",
  ),
  smtpd_use_tls: bool("no", "The old spelling of smtpd_tls_security_level = may."),
  smtpd_enforce_tls: bool("no", "The old spelling of smtpd_tls_security_level = encrypt."),
  smtpd_tls_wrappermode: bool("no", "Speak TLS from the first byte (port 465, RFC 8314)."),
  smtpd_tls_auth_only: bool("no", "Neither announce nor accept AUTH without TLS."),
  smtpd_starttls_timeout: time("${stress?{10}:{300}}s", "s", { min: 1000 }, "How long a TLS handshake may take."),
  smtpd_tls_chain_files: list(
    "",
    "PEM files of private keys, each followed by its certificate chain in the same file or the next; preferred over smtpd_tls_cert_file and smtpd_tls_key_file.",
  ),
  smtpd_tls_cert_file: file("", "PEM file with the server's certificate and its intermediates, the server's first."),
  smtpd_tls_key_file: file("$smtpd_tls_cert_file", "PEM file with the unencrypted private key of smtpd_tls_cert_file."),
  smtpd_tls_eccert_file: file("", "PEM file with an ECDSA certificate beside the one in smtpd_tls_cert_file."),
  smtpd_tls_eckey_file: file("$smtpd_tls_eccert_file", "PEM file with the private key of smtpd_tls_eccert_file."),
  smtpd_tls_protocols: text(
    ">=TLSv1",
    "TLS versions offered with security level may: `>=TLSv1.2`, `<=TLSv1.3`, or a list with `!` for exclusion. " +
      "The TLS library itself has no version below TLSv1.2 at its default security level.",
  ),
  smtpd_tls_mandatory_protocols: text(">=TLSv1", "As smtpd_tls_protocols, with security level encrypt."),
  smtpd_tls_ciphers: word(
    "medium",
    GRADES,
    "Least cipher grade with security level may; grades below high mean the library's own list.",
  ),
  smtpd_tls_mandatory_ciphers: word("medium", GRADES, "As smtpd_tls_ciphers, with security level encrypt."),
  tls_high_cipherlist: text(
    "aNULL:-aNULL:HIGH:@STRENGTH",
    "OpenSSL ciphers of grade high below TLSv1.3. Until it is set, the library's own list is used; anonymous ciphers never are.",
  ),
  tls_medium_cipherlist: text(
    "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
    "As tls_high_cipherlist, for grade medium; grades low and export, which no longer exist, mean medium.",
  ),
  tls_null_cipherlist: text("eNULL:!aNULL", "As tls_high_cipherlist, for grade null."),
  tls_eecdh_auto_curves: list(
    "X25519 X448 prime256v1 secp521r1 secp384r1",
    "Key exchange groups, best first. Until it is set, the library's own list is used.",
  ),
  smtpd_tls_exclude_ciphers: list("", "OpenSSL cipher names or groups never used."),
  smtpd_tls_mandatory_exclude_ciphers: list("", "Further exclusions with security level encrypt."),
  tls_preempt_cipherlist: bool("no", "Use the server's order of ciphers instead of the client's."),
  smtpd_tls_ask_ccert: bool(
    "no",
    "Ask clients for a certificate. A bad or missing one is not refused: restrictions decide. Sessions are then not resumed.",
  ),
  smtpd_tls_req_ccert: bool(
    "no",
    "With security level encrypt, end sessions of clients without a trusted certificate. Implies smtpd_tls_ask_ccert.",
  ),
  smtpd_tls_CAfile: file("", "PEM file with the CA certificates that client certificates may be signed by."),
  smtpd_tls_CApath: file(
    "",
    "Directory of PEM files with CA certificates. Those named as `openssl rehash` names them are read, or all where there " +
      "are none such; read at start and reload. Unlike Postfix, their names are sent to the client like those of smtpd_tls_CAfile.",
  ),
  tls_append_default_CA: bool(
    "no",
    "Trust the public CAs that Node.js carries: for clients' certificates where smtpd_tls_CAfile or smtpd_tls_CApath is set, " +
      "for servers that mail is relayed to in any case.",
  ),
  smtpd_tls_ccert_verifydepth: int(
    "9",
    { min: 1 },
    "Most CA certificates above a client's: 1 where the issuing CA must be one of ours.",
  ),
  smtpd_tls_fingerprint_digest: text(
    "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}",
    "Digest of client certificate and public key fingerprints, for check_ccert_access and permit_tls_clientcerts.",
  ),
  smtpd_tls_loglevel: int(
    "0",
    { min: 0, max: 4 },
    "1 logs a line for each TLS session, 2 also names, fingerprints and faults of client certificates; higher values add nothing here.",
  ),
  smtpd_tls_received_header: bool("no", "Name protocol, cipher and client certificate in the Received header."),
} satisfies Record<string, Declaration<unknown>>;
