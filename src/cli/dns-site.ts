/** cli/dns-site.ts: what `postern dns check` must know of the site, from the configuration and its files. */
import type { X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import { readAccount } from "../admin/account.ts";
import { type DkimKeyFile, keysOf, readSigningFile } from "../admin/dkim-keys.ts";
import type { DnsSite } from "../admin/dns-finding.ts";
import { shownCertificate } from "../admin/live-listener.ts";
import { createMailboxes, type MailboxState } from "../admin/mailbox-state.ts";
import { canonicalIp } from "../base/cidr.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { scopeOf, serviceRole } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { queryName } from "../dns/create.ts";
import { accountNamed, readAccountFiles } from "../master/accounts.ts";
import { isSmtpService } from "../master/listeners.ts";
import { liveTargets } from "../master/live-targets.ts";
import { openSnapshotTables, silentLog } from "../master/prove.ts";
import { tlsReaders } from "../master/tls-readers.ts";
import { ownAddresses } from "../net/interfaces.ts";
import { certificatesIn } from "../net/peer-certificate.ts";
import { createDomainClasses } from "../rewrite/domains.ts";
import { serverTlsInput } from "../smtpd/create.ts";
import { saslMechanisms } from "./sasl-mechanisms.ts";

export interface SiteOptions {
  /** Of accountDomain(). */
  readonly domain: string;
  /** Given by the operator: what mail leaves from, whatever the configuration says. */
  readonly addresses: readonly string[];
  /** Hosts that take mail for this server, A-labels. */
  readonly exchangers: readonly string[];
  readonly validates: boolean;
}

/** Throws ParameterError and TableError for what `postern check` reports. */
export async function readSite(snapshot: ConfigSnapshot, options: SiteOptions): Promise<DnsSite> {
  const { domain, validates } = options;
  const params = scopeOf(snapshot);
  const { account } = readAccount(snapshot, domain, { mechanisms: (scope) => saslMechanisms(snapshot, scope) });
  return {
    ...{ domain, validates, host: queryName(params.get("myhostname")) ?? params.get("myhostname") },
    receives: mxScopes(snapshot).length > 0 && (await isOurs(snapshot, domain)),
    addresses: options.addresses.length > 0 ? options.addresses : boundAddresses(snapshot),
    relayhost: params.get("relayhost"),
    ...dkimKeys(snapshot, params, domain),
    milters: hasMilters(snapshot),
    account: account.outgoing.length > 0 ? account : undefined,
    certificates: serverCertificates(snapshot) ?? (await liveCertificates(snapshot)),
    exchangers: options.exchangers,
    mailboxes: (addresses) => mailboxStates(snapshot, addresses),
  };
}

async function mailboxStates(snapshot: ConfigSnapshot, addresses: readonly string[]) {
  const tables = openSnapshotTables(snapshot, silentLog());
  const files = readAccountFiles();
  const hasAccount = (name: string) => accountNamed(files, name) !== undefined;
  try {
    const ask = createMailboxes(scopeOf(snapshot), { tables, ownAddresses: ownAddresses(), hasAccount });
    const states = new Map<string, MailboxState>();
    for (const address of addresses) states.set(address, await ask(address));
    return states;
  } finally {
    await tables.close?.();
  }
}

/** Services that take mail from other servers. */
function mxScopes(snapshot: ConfigSnapshot): readonly Parameters[] {
  return snapshot.services
    .filter(isSmtpService)
    .map((service) => scopeOf(snapshot, service))
    .filter((params) => serviceRole(params) === "mx");
}

function hasMilters(snapshot: ConfigSnapshot): boolean {
  const scopes = [scopeOf(snapshot), ...snapshot.services.filter(isSmtpService).map((one) => scopeOf(snapshot, one))];
  return scopes.some((params) => params.text("smtpd_milters") !== "" || params.text("non_smtpd_milters") !== "");
}

async function isOurs(snapshot: ConfigSnapshot, domain: string): Promise<boolean> {
  const tables = openSnapshotTables(snapshot, silentLog());
  try {
    const classes = createDomainClasses(scopeOf(snapshot), { tables, ownAddresses: ownAddresses() });
    return (await classes.isLocal(domain)) || (await classes.classOfRemote(domain)) !== "default";
  } finally {
    await tables.close?.();
  }
}

/** Addresses that the world can see; behind NAT it sees others. */
function boundAddresses(snapshot: ConfigSnapshot): readonly string[] {
  const client = snapshot.services.find(({ name, type }) => name === "smtp" && type === "unix");
  const params = scopeOf(snapshot, client);
  const bound = [params.get("smtp_bind_address"), params.get("smtp_bind_address6")];
  return bound.flatMap((address) => canonicalIp(address) ?? []).filter(isPublic);
}

const PRIVATE =
  /^(?:0\.|10\.|127\.|169\.254\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/;

function isPublic(address: string): boolean {
  return address.includes(":") ? !/^(?:::1?$|f[cd]|fe[89ab])/i.test(address) : !PRIVATE.test(address);
}

function dkimKeys(
  { configDirectory }: ConfigSnapshot,
  params: Parameters,
  domain: string,
): { readonly keys: readonly DkimKeyFile[]; readonly keysProblem: string | undefined } {
  const configured = params.get("postern_dkim_signing_file");
  if (configured === "") return { keys: [], keysProblem: undefined };
  const file = readSigningFile(resolve(configDirectory, configured));
  return "problem" in file
    ? { keys: [], keysProblem: file.problem }
    : { keys: keysOf(file, domain), keysProblem: undefined };
}

/** What the running services show: keys and chains in one file are for root alone. undefined: nobody answers. */
async function liveCertificates(snapshot: ConfigSnapshot): Promise<DnsSite["certificates"]> {
  const tables = openSnapshotTables(snapshot, silentLog());
  const deadlines = new Deadlines(systemClock);
  const host = scopeOf(snapshot).get("myhostname");
  const chains: (readonly X509Certificate[])[] = [];
  try {
    for (const { service, address, port, tls, proxied } of liveTargets(snapshot, tables)) {
      if (tls !== "starttls" || proxied || serviceRole(scopeOf(snapshot, service)) !== "mx") continue;
      const chain = await shownCertificate({ address, port, host }, deadlines);
      if (chain !== undefined && chain.length > 0) chains.push(chain);
    }
  } finally {
    await tables.close?.();
  }
  return chains.length > 0 ? chains : undefined;
}

/** undefined: some cannot be read. */
function serverCertificates(snapshot: ConfigSnapshot): DnsSite["certificates"] {
  const chains = new Map<string, readonly X509Certificate[]>();
  for (const params of mxScopes(snapshot)) {
    const images = {
      params,
      configDirectory: snapshot.configDirectory,
      image: (path: string) => snapshot.files.get(path),
    };
    const readers = tlsReaders({ ...images, paths: () => snapshot.files.keys() });
    const input = serverTlsInput(params, readers);
    if (input === undefined) continue;
    const files = input.chainFiles.length > 0 ? input.chainFiles : input.pairs.map(({ certFile }) => certFile);
    for (const file of files) {
      const read = readers.read(file);
      if ("error" in read) return undefined;
      try {
        chains.set(file, certificatesIn(Buffer.from(read.bytes).toString("latin1")));
      } catch {
        return undefined; // `postern check` says what is wrong with it
      }
    }
  }
  return [...chains.values()];
}
