/** master/transport-tls.ts: the TLS files of the delivery agents, and what can be found wrong with their TLS settings
 *  without a connection. */
import { getServers } from "node:dns";
import { readFileSync } from "node:fs";
import { fileErrorText } from "../config/file-error.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { parseNameServer, stubServers } from "../dns/servers.ts";
import type { FileBytes } from "../net/tls-files.ts";
import type { SmtpAgentOptions } from "../smtp/create.ts";
import type { Protocol } from "../smtp/settings.ts";
import { TlsEngine } from "../smtp/tls-engine.ts";
import { defaultPolicy, parseTlsPolicy } from "../smtp/tls-policy.ts";
import { type TlsSettings, tlsSettingsOf } from "../smtp/tls-settings.ts";
import type { TableOpener } from "../tables/table.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import { tlsReaders } from "./tls-readers.ts";

/** Files of one transport: images of the snapshot, and what only a policy table names (tafile=), read as who delivers. */
export function transportTlsFiles(
  params: Parameters,
  { configDirectory }: ConfigSnapshot,
  files: SnapshotFiles,
): NonNullable<SmtpAgentOptions["tlsFiles"]> {
  const used = new Set<string>();
  const image = (path: string) => {
    used.add(path);
    return files.image(path);
  };
  const readers = tlsReaders({ params, configDirectory, image, paths: () => files.paths() });
  return {
    read(path) {
      const found = readers.read(path);
      return "error" in found && path.startsWith("/") && !files.image(path) ? readNow(path) : found;
    },
    readDirectory: readers.readDirectory,
    onChange(run) {
      files.onChange((changed) => {
        if ([...changed].some((path) => used.has(path))) run();
      });
    },
  };
}

function readNow(path: string): FileBytes {
  try {
    return { bytes: readFileSync(path) };
  } catch (error) {
    return { error: fileErrorText(error) };
  }
}

/** Problems of all transports that speak SMTP or LMTP, and of their policy tables where those can be read through. */
export function checkTransportTls(snapshot: ConfigSnapshot, tables: TableOpener): readonly Problem[] {
  const services = snapshot.services.filter(({ type, command }) => type === "unix" && /^[ls]mtp$/.test(command));
  const found = services.flatMap((service) => checkTransport(snapshot, service, tables));
  if (services.some(({ command }) => command === "smtp")) return found;
  return [...found, ...checkTransport(snapshot, undefined, tables)];
}

function checkTransport(
  snapshot: ConfigSnapshot,
  service: ServiceEntry | undefined,
  tables: TableOpener,
): readonly Problem[] {
  const params = scopeOf(snapshot, service);
  const protocol: Protocol = service?.command === "lmtp" ? "lmtp" : "smtp";
  const settings = tlsSettingsOf(params, protocol);
  return [
    ...checkPerSite(params, protocol),
    ...checkFiles(settings, { params, snapshot, service, protocol }),
    ...checkTrust(settings, { params, protocol }),
    ...checkDane(settings, { params, protocol }),
    ...checkPolicies(settings, { params, protocol, tables }),
  ];
}

interface Place {
  readonly params: Parameters;
  readonly protocol: Protocol;
}

/** Ignored, it would send in clear what must not go so. */
function checkPerSite(params: Parameters, protocol: Protocol): readonly Problem[] {
  const name = `${protocol}_tls_per_site`;
  if (params.text(name) === "" || params.get(`${protocol}_tls_policy_maps`).length > 0) return [];
  const hint = `write its entries into ${protocol}_tls_policy_maps: NONE is none, MAY is may, MUST_NOPEERMATCH is encrypt, MUST is verify`;
  return [{ severity: "error", at: params.source(name), text: `${name} is not supported`, hint }];
}

/** Versions, ciphers, own certificate, CAs. A file that cannot be read was reported with the line that names it. */
function checkFiles(
  settings: TlsSettings,
  { params, snapshot, service, protocol }: Place & { snapshot: ConfigSnapshot; service: ServiceEntry | undefined },
): readonly Problem[] {
  const at = service?.at ?? params.source(`${protocol}_tls_security_level`);
  const standard = defaultPolicy(settings);
  if ("problem" in standard) return [{ severity: "error", at, text: standard.problem }];
  let unreadable = false;
  const image = (path: string) => {
    const found = snapshot.files.get(path);
    unreadable ||= found !== undefined && "error" in found;
    return found;
  };
  const { configDirectory, files } = snapshot;
  const readers = tlsReaders({ params, configDirectory, image, paths: () => files.keys() });
  const engine = new TlsEngine(settings, readers, { monotonic: () => 0 });
  const offers = [settings.may, settings.mandatory];
  const problems = offers.flatMap((offer) => {
    const made = engine.context({ ...standard.policy, offer });
    return "problem" in made ? [made.problem] : [];
  });
  if (unreadable) return [];
  return [...new Set(problems)].map((problem) => ({ severity: "error", at, text: `TLS of ${protocol}: ${problem}` }));
}

/** Where nothing is trusted nothing can be verified, and the mail waits until it is returned. */
function checkTrust({ level, trust }: TlsSettings, { params, protocol }: Place): readonly Problem[] {
  const some = trust.file !== "" || trust.directory !== "" || trust.anchorFile !== "" || trust.appendPublic;
  if ((level !== "verify" && level !== "secure") || some) return [];
  return [
    {
      severity: "warning",
      at: params.source(`${protocol}_tls_security_level`),
      text: `no certificate can be verified: ${protocol}_tls_CAfile and ${protocol}_tls_CApath are empty`,
      hint: `set ${protocol}_tls_CAfile = /etc/ssl/certs/ca-certificates.crt, or tls_append_default_CA = yes`,
    },
  ];
}

/** DANE that would be no more than "may", unseen. */
function checkDane({ level, dane }: TlsSettings, { params, protocol }: Place): readonly Problem[] {
  const named = params.get("postern_dns_servers");
  const wrong = named.filter((text) => parseNameServer(text) === undefined);
  const problems = wrong.map(
    (text): Problem => ({
      severity: "error",
      at: params.source("postern_dns_servers"),
      text: `postern_dns_servers: "${text}" is not an address with an optional port`,
    }),
  );
  if (level !== "dane" && level !== "dane-only") return problems;
  const at = params.source(`${protocol}_tls_security_level`);
  if (!dane.dnssec) {
    const text = `${protocol}_tls_security_level = ${level} needs ${protocol}_dns_support_level = dnssec`;
    return [...problems, { severity: "error", at, text }];
  }
  if (stubServers(named, getServers()).some(({ trusted }) => trusted)) return problems;
  const text = "no name server is trusted with DNSSEC, so no host has TLSA records";
  const hint = "run a validating resolver on this machine, or name one whose path is safe in postern_dns_servers";
  return [...problems, { severity: "warning", at, text, hint }];
}

/** Every entry of the tables whose entries are known. Warnings: a table is edited while the server runs, and one bad entry
 *  must not keep all mail from leaving at the next start. */
function checkPolicies(
  settings: TlsSettings,
  { params, protocol, tables }: Place & { tables: TableOpener },
): readonly Problem[] {
  const name = settings.policyMapsName;
  const texts = settings.policyMaps.flatMap((ref) => {
    const { entries, rules } = tables.open(ref);
    const values = [...(entries ?? [])].map(([key, value]) => ({ key, value }));
    return [...values, ...(rules ?? []).map(({ pattern, value }) => ({ key: pattern, value }))].map((entry) => ({
      ...entry,
      ref,
    }));
  });
  return texts.flatMap(({ ref, key, value }): readonly Problem[] => {
    const parsed = parseTlsPolicy(value, settings, `${name}: ${ref}: entry "${key}"`);
    if (!("problem" in parsed)) return [];
    const hint = `mail for it is deferred with "client TLS configuration problem"`;
    return [{ severity: "warning", at: params.source(`${protocol}_tls_policy_maps`), text: parsed.problem, hint }];
  });
}
