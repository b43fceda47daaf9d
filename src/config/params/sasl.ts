/** config/params/sasl.ts: the parameters of sasl, each declared once.
 *  smtpd_tls_auth_only is declared with the TLS parameters. The accounts themselves are in $postern_user_file. */
import { bool, type Declaration, file, int, list, ParameterError, splitList, text, time, word } from "../declare.ts";

const SECURITY_OPTIONS = ["noplaintext", "noactive", "nodictionary", "noanonymous", "forward_secrecy", "mutual_auth"];

/** A list of security options; an unknown word is an error, because ignoring it would announce too much. */
function securityOptions(defaultText: string, doc: string): Declaration<readonly string[]> {
  return {
    ...list(defaultText, doc),
    parse(value, name) {
      const words = splitList(value, name).map((option) => option.toLowerCase());
      for (const option of words) {
        if (SECURITY_OPTIONS.includes(option)) continue;
        throw new ParameterError(`unknown ${name} value "${option}" in "${value}"`);
      }
      return words;
    },
  };
}

/** A list of mechanism names, `!names` and `static:` entries; a table of another type would match nothing, so it is an error. */
function mechanismFilter(defaultText: string, doc: string): Declaration<readonly string[]> {
  return {
    ...list(defaultText, doc),
    parse(value, name) {
      const items = splitList(value, name);
      for (const item of items) {
        if (/^!*(static:.*|[A-Za-z0-9_-]+)$/i.test(item)) continue;
        throw new ParameterError(
          `bad configuration: ${name} = ${value}: "${item}" is no mechanism and no static: entry`,
        );
      }
      return items;
    },
  };
}

export const SASL_PARAMETERS = {
  smtpd_sasl_auth_enable: bool(
    "no",
    "Let clients log in (AUTH, RFC 4954). Without it no AUTH is announced or accepted.",
  ),
  smtpd_sasl_type: word(
    "cyrus",
    ["postern", "cyrus", "dovecot"],
    "Who knows the passwords: `postern` is the file $postern_user_file, `dovecot` is Dovecot's auth service at " +
      "$smtpd_sasl_path, `cyrus` is taken as `postern`, with a warning from `postern check`.",
  ),
  smtpd_sasl_path: text(
    "smtpd",
    "With smtpd_sasl_type = dovecot, the socket of the auth service: `inet:host:port`, `unix:path`, or a path; " +
      "paths are relative to $queue_directory. Not used by the other types.",
  ),
  smtpd_sasl_service: text("smtp", "The service name that the dovecot type passes on with each login."),
  smtpd_sasl_local_domain: text(
    "",
    "A login without `@` that is not in the user file is looked up once more as `login@$smtpd_sasl_local_domain`. " +
      "Empty: logins must be given as they are in the file.",
  ),
  smtpd_sasl_security_options: securityOptions(
    "noanonymous",
    "Which mechanisms are announced and accepted without TLS: noplaintext, noactive, nodictionary and noanonymous take " +
      "away those open to that attack, forward_secrecy and mutual_auth keep only those that have it.",
  ),
  smtpd_sasl_tls_security_options: securityOptions(
    "$smtpd_sasl_security_options",
    "As smtpd_sasl_security_options, for sessions under TLS.",
  ),
  smtpd_sasl_mechanism_filter: mechanismFilter(
    "!external, static:rest",
    "Which mechanisms of the password backend are announced and accepted: names and `!names` in any case, and " +
      "`static:rest` for all others; the first match decides, no match means no.",
  ),
  smtpd_sasl_exceptions_networks: list(
    "",
    "Clients that are not told about AUTH. It is only hidden: a client that tries may log in.",
  ),
  smtpd_sasl_response_limit: int(
    "12288",
    { min: 1 },
    "The longest SASL response in bytes of base64; a longer one is answered `500 5.5.6`. RFC 4954 asks for 12288.",
  ),
  smtpd_sasl_authenticated_header: bool(
    "no",
    "Show the login name in the Received header as `(Authenticated sender: name)`.",
  ),
  broken_sasl_auth_clients: bool(
    "no",
    "Announce `AUTH=mechanisms` besides `AUTH mechanisms`, for clients that know only the old form.",
  ),
  postern_user_file: file(
    "$config_directory/users",
    "The file of logins and password hashes, kept with `postern user`; mode 0600, no symbolic link.",
    { origin: "postern" },
  ),
  postern_auth_cache_time: time(
    "120s",
    "s",
    { max: 3_600_000 },
    "How long a password that was right is remembered (as a keyed hash in memory) before it is hashed again; 0 turns it off. " +
      "A change of the user file forgets all of them at once.",
    { origin: "postern" },
  ),
  postern_auth_cache_size: int(
    "10000",
    { min: 1, max: 1_000_000 },
    "The most remembered passwords of one process; the oldest goes first.",
    { origin: "postern" },
  ),
  postern_hash_threads: int(
    "1",
    { min: 1, max: 64 },
    "Threads of one worker process that compute slow password hashes.",
    { origin: "postern", restart: true },
  ),
  postern_hash_queue_limit: int(
    "64",
    { min: 1, max: 10_000 },
    "Logins that may wait for a hash thread; one more is answered `454 4.7.0`.",
    { origin: "postern", restart: true },
  ),
} satisfies Record<string, Declaration<unknown>>;
