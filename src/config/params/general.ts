/** config/params/general.ts: parameters that every room reads: names of this machine, its domains and networks,
 *  directories, and limits that belong to no single room. Defaults are Postfix 3.10's, except for names and
 *  directories, which are Postern's own (design §4, §12). Defaults that need the machine are computed by builtins.ts. */
import { parseLevel } from "../compatibility-level.ts";
import { bool, type Declaration, file, int, list, text, word } from "../declare.ts";

const NEW_AT_1 = "${{$compatibility_level} <level {1} ? {no} : {yes}}";

/** `major`, `major.minor` or `major.minor.patch`. */
const compatibilityLevel: Declaration<string> = {
  ...text("0", "The Postfix release whose defaults apply: major, major.minor or major.minor.patch. Unset means 0."),
  parse(value) {
    parseLevel(value);
    return value;
  },
};

export const GENERAL_PARAMETERS = {
  compatibility_level: compatibilityLevel,
  myhostname: text("localhost", "The name of this mail system, fully qualified. The default comes from the machine."),
  mydomain: text("localdomain", "The domain part of $myhostname."),
  myorigin: text(
    "$myhostname",
    "The domain that is appended to addresses without one. /file: the first line of that file, as on Debian.",
  ),
  mydestination: list(
    "$myhostname, localhost.$mydomain, localhost",
    "Domains whose mail is delivered by $local_transport. Domains, /files and type:table; the first match wins.",
  ),
  mynetworks: list(
    "",
    "Trusted clients: net/mask, /files and type:table, !pattern excludes. The default follows $mynetworks_style.",
  ),
  mynetworks_style: word(
    "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
    ["host", "subnet", "class"],
    "What the default of mynetworks trusts: this machine (host), its subnets, or its class A, B or C networks.",
  ),
  inet_interfaces: list(
    "all",
    "Addresses that this server listens on and calls its own: all, loopback-only, or a list.",
    {
      restart: true,
    },
  ),
  inet_protocols: list("all", "Protocols for listening and for delivery: all, ipv4, ipv6.", { restart: true }),
  proxy_interfaces: list("", "Addresses at which a proxy or address translator receives mail for this system."),
  relay_domains: list(
    "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
    "Domains that this system relays mail to for strangers (backup MX).",
  ),
  parent_domain_matches_subdomains: list(
    "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
    "Parameters in which example.com also matches its subdomains; elsewhere write .example.com.",
  ),
  recipient_delimiter: text("", "Characters that may part a user name from its address extension (user+extension)."),
  smtputf8_enable: bool(NEW_AT_1, "Announce SMTPUTF8 (RFC 6531) and accept addresses and headers in UTF-8."),
  stress: text(
    "",
    "Set by the server to yes for new sessions while all that maxproc allows to a service are in use; read as ${stress?{a}:{b}}.",
  ),
  message_size_limit: int("10240000", { min: 0 }, "The largest message in bytes, envelope included. 0 means no limit."),
  mail_name: text("Postern", "The product name in the banner and in Received headers."),
  mail_version: text("", "The version of this server. Computed."),
  mail_owner: text("postern", "The account that workers run as when the master is started as root.", { restart: true }),
  queue_directory: file("/var/spool/postern", "The directory of the mail queue. Relative file names start here.", {
    restart: true,
  }),
  data_directory: file("/var/lib/postern", "The directory of caches and other data that may be lost.", {
    restart: true,
  }),
  config_directory: file("/etc/postern", "The directory of main.cf and master.cf. Computed from -c or $MAIL_CONFIG."),
  daemon_directory: file("/usr/lib/postern", "The directory of this program, for $daemon_directory in other values."),
  command_directory: file(
    "/usr/sbin",
    "The directory of administrative commands, for $command_directory in other values.",
  ),
  process_name: text("", "The command of the master.cf service that reads a value, for use in other values. Computed."),
  service_name: text(
    "",
    "The first field of the master.cf service that reads a value, for use in other values. Computed.",
  ),
  postern_dns_servers: list(
    "",
    "Name servers to ask instead of the system's: 127.0.0.1, 192.0.2.1:5353, [2001:db8::1]:53. What they say of DNSSEC is " +
      "believed; of the system's only what those on this machine say.",
    { origin: "postern", restart: true },
  ),
} satisfies Record<string, Declaration<unknown>>;
