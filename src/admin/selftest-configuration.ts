/** admin/selftest-configuration.ts: main.cf and master.cf of a private copy of a server: the operator's own, but with queue,
 *  ports, users, log and next hop of its own, and without other programs (Milters, filters, mailboxes). */
import { ParameterError, type Parameters } from "../config/parameters.ts";
import { scopeOf, serviceRole } from "../config/scope.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import type { SelftestEndpoint } from "./selftest-player.ts";
import type { SelftestRole } from "./selftest-row.ts";

export interface PrivatePlace {
  /** Holds everything of the copy. */
  readonly directory: string;
  readonly sinkPort: number;
  /** A free port for each service. */
  readonly nextPort: () => number;
  readonly login: string;
  /** PEM with key and certificate, where the operator's own cannot be read. */
  readonly certificate: string | undefined;
  /** Set in addition. */
  readonly more: Readonly<Record<string, string>>;
}

export interface PrivateConfiguration {
  readonly mainCf: string;
  readonly masterCf: string;
  readonly endpoints: ReadonlyMap<SelftestRole, SelftestEndpoint>;
}

/** Emptied: other ways out, other programs, copies, limits that the number of rows would meet. */
const EMPTY = `transport_maps sender_dependent_relayhost_maps sender_dependent_default_transport_maps content_filter
  smtp_tls_policy_maps smtp_generic_maps smtp_bind_address smtp_bind_address6 smtp_fallback_relay smtpd_milters
  non_smtpd_milters smtpd_proxy_filter always_bcc recipient_bcc_maps sender_bcc_maps defer_transports
  smtpd_reject_footer smtpd_reject_footer_maps postern_syslog_server postern_operators_group smtp_header_checks
  smtp_mime_header_checks smtp_nested_header_checks smtp_body_checks smtp_discard_ehlo_keywords
  smtp_discard_ehlo_keyword_address_maps default_filter_nexthop`.split(/\s+/);
const OFF =
  "smtp_sasl_auth_enable smtp_tls_mta_sts smtp_tlsrpt_enable smtp_tls_wrappermode soft_bounce smtpd_peername_lookup";
const ZERO = `smtpd_client_connection_count_limit smtpd_client_connection_rate_limit smtpd_client_message_rate_limit
  smtpd_client_recipient_rate_limit smtpd_client_new_tls_session_rate_limit smtpd_client_auth_rate_limit
  default_destination_rate_delay smtp_destination_rate_delay default_transport_rate_delay
  smtp_transport_rate_delay`.split(/\s+/);

/** The only way out, to the test's own next hop. What a FILTER of an access table or of header_checks names ends in the others:
 *  mail of the test must not leave this machine. */
const SINK_TRANSPORT = "selftest-sink";
const TRANSPORTS = `${SINK_TRANSPORT} unix - - n - - smtp
smtp unix - - n - - discard
relay unix - - n - - discard
lmtp unix - - n - - discard
local unix - - n - - discard
virtual unix - - n - - discard
`;

function privateSettings(place: PrivatePlace): ReadonlyMap<string, string> {
  const { directory, sinkPort, login, certificate } = place;
  const sink = `${SINK_TRANSPORT}:[127.0.0.1]:${sinkPort}`;
  const fixed: Record<string, string> = {
    queue_directory: `${directory}/spool`,
    data_directory: `${directory}/spool`,
    maillog_file: `${directory}/maillog`,
    postern_user_file: `${directory}/users`,
    postern_workers: "1",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    relayhost: `[127.0.0.1]:${sinkPort}`,
    default_transport: sink,
    relay_transport: sink,
    local_transport: sink,
    virtual_transport: sink,
    smtp_tls_security_level: "none",
    smtpd_sasl_type: "postern",
    smtpd_sender_login_maps: `inline:{ { ${login} = ${login} } }`,
    smtpd_upstream_proxy_protocol: "haproxy",
    smtpd_error_sleep_time: "0",
    ...(certificate !== undefined && {
      smtpd_tls_chain_files: certificate,
      smtpd_tls_cert_file: "",
      smtpd_tls_key_file: "",
      smtpd_tls_eccert_file: "",
      smtpd_tls_eckey_file: "",
      smtpd_tls_dcert_file: "",
      smtpd_tls_dkey_file: "",
    }),
    ...place.more,
  };
  const all = new Map<string, string>();
  for (const name of EMPTY) all.set(name, "");
  for (const name of OFF.split(" ")) all.set(name, "no");
  for (const name of ZERO) all.set(name, "0");
  for (const [name, value] of Object.entries(fixed)) all.set(name, value);
  return all;
}

/** What is the operator's own stands on the lines on which he has it, so that errors name them; what is the test's comes below.
 *  Throws ParameterError for values that check reports. */
export function privateConfiguration(snapshot: ConfigSnapshot, place: PrivatePlace): PrivateConfiguration {
  const settings = privateSettings(place);
  const kept = new Map(snapshot.mainCf.filter(({ name }) => !settings.has(name)).map((one) => [one.name, one]));
  const own = textAtLines([...kept.values()].map(({ name, value, at }) => [at.line, `${name} = ${value}`]));
  const mainCf = `${own}${[...settings].map(([name, value]) => `${name} = ${value}\n`).join("")}`;
  const services = snapshot.services.filter(isSmtpService);
  const copies = services.map((entry) => ({ entry, port: place.nextPort(), params: scopeOf(snapshot, entry) }));
  const masterCf = textAtLines(copies.flatMap(({ entry, port }) => serviceLines(entry, port, settings))) + TRANSPORTS;
  return { mainCf, masterCf, endpoints: endpointsOf(copies) };
}

function isSmtpService({ type, command }: ServiceEntry): boolean {
  return type === "inet" && (command === "smtpd" || command === "postscreen");
}

function serviceLines(entry: ServiceEntry, port: number, settings: ReadonlyMap<string, string>): readonly PlacedText[] {
  const options = entry.overrides.filter(({ name }) => !settings.has(name));
  const lines = options.map(({ name, value, at }): PlacedText => [at.line, `  -o { ${name} = ${value} }`]);
  return [[entry.at.line, `127.0.0.1:${port} inet n - n - - smtpd`], ...lines];
}

/** A line number from 1, and text that stands on that line. */
type PlacedText = readonly [number, string];

/** Lines that nothing stands on are blank, which ends no entry of either file. */
function textAtLines(placed: readonly PlacedText[]): string {
  const lines: string[] = [];
  for (const [line, text] of placed) lines[line - 1] = `${lines[line - 1] ?? ""}${text}`;
  return Array.from(lines, (line = "") => `${line}\n`).join("");
}

interface Copy {
  readonly entry: ServiceEntry;
  readonly port: number;
  readonly params: Parameters;
}

/** The first service that fits each role; where none refuses strangers, users log in at whichever has SASL. */
function endpointsOf(copies: readonly Copy[]): ReadonlyMap<SelftestRole, SelftestEndpoint> {
  const is = (copy: Copy, role: "submission" | "mx") => serviceRole(copy.params) === role;
  const wrapped = ({ params }: Copy) => params.get("smtpd_tls_wrappermode");
  const sasl = ({ params }: Copy) => params.get("smtpd_sasl_auth_enable");
  const clear = copies.filter((copy) => !wrapped(copy));
  const submissions = copies.find((copy) => wrapped(copy) && sasl(copy));
  const submission = clear.find((copy) => is(copy, "submission")) ?? clear.find(sasl) ?? submissions;
  const mx = clear.find((copy) => is(copy, "mx") && !sasl(copy)) ?? clear.find((copy) => is(copy, "mx"));
  const found = new Map<SelftestRole, SelftestEndpoint>();
  for (const [role, copy] of [
    ["submission", submission],
    ["submissions", submissions],
    ["mx", mx],
  ] as const) {
    if (copy) found.set(role, endpointOf(copy));
  }
  return found;
}

function endpointOf({ entry, port, params }: Copy): SelftestEndpoint {
  const level = params.text("smtpd_tls_security_level");
  const must = level === "encrypt" || (level === "" && params.get("smtpd_enforce_tls"));
  const offered = level === "" ? params.get("smtpd_use_tls") || must : level !== "none";
  const wrapper = params.get("smtpd_tls_wrappermode");
  return {
    name: entry.name,
    port,
    service: {
      params,
      tls: wrapper ? "wrapper" : offered ? "starttls" : "none",
      mustEncrypt: must && !wrapper,
      sasl: params.get("smtpd_sasl_auth_enable"),
      usersOnly: serviceRole(params) === "submission",
      local: ownDomainOf(params) !== undefined,
    },
  };
}

/** The first domain written out in a list of ours. */
export function ownDomainOf(params: Parameters): string | undefined {
  for (const name of ["mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"]) {
    const domain = textOf(params, name)
      .split(/[\s,]+/)
      .find((word) => /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/i.test(word));
    if (domain !== undefined) return domain;
  }
  return undefined;
}

function textOf(params: Parameters, name: string): string {
  try {
    return params.text(name);
  } catch (error) {
    if (error instanceof ParameterError) return "";
    throw error;
  }
}
