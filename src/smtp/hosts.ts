/** smtp/hosts.ts: from a next hop to the addresses to try, in order (RFC 5321 §5.1, RFC 7505): MX by preference, address
 *  fallback, our own place in the list as the end of it. */
import { join } from "node:path";
import type { Dns, MxRecord } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import { ipVersion } from "../net/client-connection.ts";
import type { TableOpener } from "../tables/table.ts";
import { balanced, inOrder, type RankedAddress } from "./address-order.ts";
import { findAddresses, findExchangers, type LookupParts } from "./host-lookup.ts";
import { type NextHop, portNumber } from "./nexthop.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";
import type { Target, TargetOrigin } from "./session.ts";
import type { Settings } from "./settings.ts";

/** Either at least one target, or why there is none. `last`: no other next hop may be tried, since this one is ourselves
 *  or wants no mail. */
export type Hosts = ({ readonly targets: readonly Target[] } | { readonly failure: Verdict }) & {
  readonly last?: boolean;
};

export interface HostsOptions {
  readonly dns: Dns;
  readonly settings: Settings;
  readonly tables: TableOpener;
  readonly log: Log;
  /** Addresses this machine receives mail on, to see mail loops. */
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
    return { targets: [{ host: settings.myhostname, address: path, port: undefined, nexthop: label, best: true }] };
  }
  const port = portNumber(hop.port ?? settings.defaultPort);
  if (port === undefined) return { failure: ownVerdict("4.3.5", `unknown port in next hop: ${label}`) };
  const search = new HostSearch({ port, nexthop: label }, options);
  const isHost = hop.kind === "host" || !settings.lookup.exchangers;
  return isHost ? search.ofHost(hop.name) : search.ofDomain(hop.name);
}

interface Place {
  readonly port: number;
  readonly nexthop: string;
}

type Ranked = RankedAddress & { readonly host: string; readonly origin?: TargetOrigin["host"] };

class HostSearch {
  readonly #place: Place;
  readonly #options: HostsOptions;
  readonly #parts: LookupParts;
  /** What DNSSEC says of the list of exchangers, if there is one. */
  #mx: TargetOrigin["mx"];

  constructor(place: Place, options: HostsOptions) {
    this.#place = place;
    this.#options = options;
    this.#parts = { ...options, lookup: options.settings.lookup };
  }

  async ofHost(name: string): Promise<Hosts> {
    const found = await findAddresses(name, this.#parts);
    if ("failure" in found) return found;
    const ranked = found.addresses.map((address) => ({ ...address, host: name, preference: 0 }));
    return ranked.some((address) => this.#isSelf(address)) ? loop(name) : { targets: this.#targets(ranked) };
  }

  async ofDomain(domain: string): Promise<Hosts> {
    if (ipVersion(domain) !== 0) return this.ofHost(domain);
    const found = await findExchangers(domain, this.#parts);
    if ("failure" in found) {
      const goOn = found.kind === "absent" || this.#options.settings.lookup.ignoreMxError;
      return goOn ? this.ofHost(domain) : found;
    }
    if (found.exchangers.every((mx) => mx.exchange === "" || mx.exchange === ".")) {
      return { failure: ownVerdict("5.1.0", `Domain ${domain} does not accept mail (nullMX)`), last: true };
    }
    this.#mx = found.origin;
    return this.#ofExchangers(domain, this.#chosen(found.exchangers));
  }

  /** By preference; where there are too many, which of the equal ones are left out is a matter of chance. */
  #chosen(records: readonly MxRecord[]): readonly MxRecord[] {
    const { settings, random } = this.#options;
    const keyed = records
      .filter((mx) => mx.exchange !== "" && mx.exchange !== ".")
      .map((mx) => ({ mx, key: settings.lookup.randomize ? random() : 0 }));
    keyed.sort((a, b) => a.mx.preference - b.mx.preference || a.key - b.key);
    return keyed.slice(0, MAX_EXCHANGERS).map(({ mx }) => mx);
  }

  async #ofExchangers(domain: string, exchangers: readonly MxRecord[]): Promise<Hosts> {
    const { settings, log } = this.#options;
    const found: Ranked[] = [];
    let failure: Verdict | undefined;
    let reached = exchangers[0]?.preference;
    for (const { preference, exchange } of exchangers) {
      // Enough of them; but a level is looked at as a whole, since we may be in it.
      if (preference !== reached && found.length >= settings.addressLimit) break;
      reached = preference;
      const answer = await findAddresses(exchange, this.#parts);
      if ("addresses" in answer) found.push(...answer.addresses.map((a) => ({ ...a, host: exchange, preference })));
      else if (failure?.kind !== "deferred") failure = answer.failure;
    }
    if (found.length === 0) {
      log.warning(`no MX host for ${domain} has a valid address record`);
      return { failure: this.#unreachable(failure ?? ownVerdict("5.4.4", `unable to look up host ${domain}`)) };
    }
    return this.#withoutSelf(domain, found, exchangers[0]?.preference ?? 0);
  }

  /** RFC 5321 §5.1: only exchangers better than ourselves may be tried. A better one that has no address now is no loop. */
  #withoutSelf(domain: string, found: readonly Ranked[], bestPreference: number): Hosts {
    const self = found.find((address) => this.#isSelf(address));
    if (!self) return { targets: this.#targets(found) };
    const better = found.filter(({ preference }) => preference < self.preference);
    if (better.length > 0) return { targets: this.#targets(better), last: true };
    if (found[0]?.preference === bestPreference) return loop(domain);
    return { failure: ownVerdict("4.4.4", `unable to find primary relay for ${domain}`), last: true };
  }

  /** No exchanger has an address: final, unless a lookup may still succeed or the operator says otherwise. */
  #unreachable(failure: Verdict): Verdict {
    if (failure.kind === "deferred" || !this.#options.settings.lookup.deferNoMxAddress) return failure;
    return { ...failure, kind: "deferred", dsn: `4${failure.dsn.slice(1)}` };
  }

  #targets(found: readonly Ranked[]): readonly Target[] {
    const { settings, random } = this.#options;
    const { addressLimit, lookup } = settings;
    const ordered = inOrder(found, lookup, random);
    const chosen = lookup.balance ? balanced(ordered, addressLimit) : ordered.slice(0, addressLimit);
    const best = Math.min(...found.map(({ preference }) => preference));
    return chosen.map(({ host, address, preference, origin }) => ({
      host,
      address,
      ...this.#place,
      best: preference === best,
      ...(origin && { origin: { mx: this.#mx, host: origin } }),
    }));
  }

  /** Only the SMTP port can be ourselves; another port of this machine is a content filter or a mail store. */
  #isSelf({ address }: Ranked): boolean {
    const { settings, myAddresses } = this.#options;
    return settings.protocol === "smtp" && this.#place.port === 25 && myAddresses.has(address);
  }
}

function loop(name: string): Hosts {
  return { failure: ownVerdict("5.4.6", `mail for ${name} loops back to myself`), last: true };
}
