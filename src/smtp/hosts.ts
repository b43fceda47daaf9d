/** smtp/hosts.ts: from a next hop to the addresses to try, in order (RFC 5321 §5.1, RFC 7505): MX by preference, address
 *  fallback, our own place in the list as the end of it. */
import { join } from "node:path";
import type { Dns, DnsFailure, MxRecord } from "../dns/resolver.ts";
import { ipVersion } from "../net/client-connection.ts";
import { type NextHop, portNumber } from "./nexthop.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";
import type { Target } from "./session.ts";
import type { Settings } from "./settings.ts";

/** Either at least one target, or why there is none. */
export type Hosts = { readonly targets: readonly Target[] } | { readonly failure: Verdict };

export interface HostsOptions {
  readonly dns: Dns;
  readonly settings: Settings;
  /** Addresses this machine listens on, to see mail loops. */
  readonly myAddresses: ReadonlySet<string>;
  /** In [0, 1), for mail exchangers of equal preference. */
  readonly random: () => number;
}

/** Mail exchangers looked at; a domain that lists more is a trap. */
const MAX_EXCHANGERS = 50;

/** All targets of one next hop, best first. `label` is the next hop as written. */
export async function findHosts(hop: NextHop, label: string, options: HostsOptions): Promise<Hosts> {
  const { settings } = options;
  if (hop.kind === "unix") {
    const path = hop.path.startsWith("/") ? hop.path : join(settings.queueDirectory, hop.path);
    return { targets: [{ host: settings.myhostname, address: path, port: undefined, nexthop: label }] };
  }
  const port = portNumber(hop.port ?? settings.defaultPort);
  if (port === undefined) return { failure: ownVerdict("4.3.5", `unknown port in next hop: ${label}`) };
  const place = { port, nexthop: label };
  if (hop.kind === "host") return ofHost(hop.name, place, options);
  return ofDomain(hop.name, place, options);
}

interface Place {
  readonly port: number;
  readonly nexthop: string;
}

async function ofHost(name: string, place: Place, options: HostsOptions): Promise<Hosts> {
  const found = await addressesOf(name, place, options);
  if ("failure" in found) return found;
  return isSelf(found.targets, place, options) ? { failure: loop(name) } : found;
}

async function ofDomain(domain: string, place: Place, options: HostsOptions): Promise<Hosts> {
  if (ipVersion(domain) !== 0) return ofHost(domain, place, options);
  const answer = await options.dns.mx(domain);
  if (answer.kind === "noData" || answer.kind === "notFound") return ofHost(domain, place, options);
  if (answer.kind !== "found") return { failure: nameError(domain, "MX", answer) };
  if (answer.records.every((mx) => mx.exchange === "" || mx.exchange === ".")) {
    return { failure: ownVerdict("5.1.0", `Domain ${domain} does not accept mail (nullMX)`) };
  }
  return ofExchangers(domain, inOrder(answer.records, options), { place, options });
}

async function ofExchangers(
  domain: string,
  exchangers: readonly MxRecord[],
  { place, options }: { place: Place; options: HostsOptions },
): Promise<Hosts> {
  const targets: Target[] = [];
  let failure: Verdict | undefined;
  let levelStart = 0;
  let preference = exchangers[0]?.preference;
  for (const mx of exchangers) {
    if (mx.preference !== preference) {
      preference = mx.preference;
      levelStart = targets.length;
    }
    const found = await addressesOf(mx.exchange, place, options);
    if ("failure" in found) {
      if (failure?.kind !== "deferred") failure = found.failure;
      continue;
    }
    if (isSelf(found.targets, place, options)) {
      // RFC 5321 §5.1: only exchangers better than ourselves may be tried.
      const better = targets.slice(0, levelStart);
      return better.length > 0 ? { targets: better } : { failure: loop(domain) };
    }
    targets.push(...found.targets);
    if (targets.length >= options.settings.addressLimit) break;
  }
  if (targets.length > 0) return { targets };
  return { failure: unreachable(failure ?? ownVerdict("5.4.4", `unable to look up host ${domain}`), options) };
}

/** No exchanger has an address: final, unless a lookup may still succeed or the operator says otherwise. */
function unreachable(failure: Verdict, options: HostsOptions): Verdict {
  if (failure.kind === "deferred" || !options.settings.deferNoMxAddress) return failure;
  return { ...failure, kind: "deferred", dsn: `4${failure.dsn.slice(1)}` };
}

async function addressesOf(name: string, place: Place, options: HostsOptions): Promise<Hosts> {
  if (ipVersion(name) !== 0) return { targets: [{ host: name, address: name, ...place }] };
  const answer = await options.dns.addresses(name);
  if (answer.kind !== "found") return { failure: nameError(name, options.settings.addressType, answer) };
  return { targets: answer.records.map(({ address }) => ({ host: name, address, ...place })) };
}

/** By preference; equal ones mixed. */
function inOrder(records: readonly MxRecord[], { settings, random }: HostsOptions): readonly MxRecord[] {
  const keyed = records
    .filter((mx) => mx.exchange !== "" && mx.exchange !== ".")
    .map((mx) => ({ mx, key: settings.randomize ? random() : 0 }));
  keyed.sort((a, b) => a.mx.preference - b.mx.preference || a.key - b.key);
  return keyed.slice(0, MAX_EXCHANGERS).map(({ mx }) => mx);
}

/** Only the SMTP port can be ourselves; another port of this machine is a content filter or a mail store. */
function isSelf(targets: readonly Target[], place: Place, options: HostsOptions): boolean {
  if (options.settings.protocol !== "smtp" || place.port !== 25) return false;
  return targets.some(({ address }) => options.myAddresses.has(address));
}

function loop(name: string): Verdict {
  return ownVerdict("5.4.6", `mail for ${name} loops back to myself`);
}

function nameError(name: string, type: string, failure: DnsFailure): Verdict {
  const text = `Host or domain name not found. Name service error for name=${name} type=${type}: ${failure.text}`;
  return ownVerdict(failure.kind === "temporary" ? "4.4.3" : "5.4.4", text);
}
