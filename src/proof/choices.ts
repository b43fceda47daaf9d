/** proof/choices.ts: what a client can choose, as far as it can make a difference: addresses, names, HELO, senders and
 *  recipients that some table of the lists knows, and plain ones. Reads tables that can be seen; asks no server. */

import type { Rule } from "../access/restriction.ts";
import type { Network } from "../base/cidr.ts";
import type { TlsPeer } from "../mail/client.ts";
import type { LookupTable } from "../tables/table.ts";
import { tablesIn, type World } from "./answer.ts";
import { networkIn, strangerAddresses } from "./networks.ts";
import { sampleOf } from "./regexp-sample.ts";
import type { Host } from "./scenario.ts";
import { alwaysRefuses, canSee, mayPermit, pairsOf, tableOf } from "./sight.ts";

/** Domains that are nobody's (RFC 2606), in two top-level domains, as a table may name one of them. */
const OUTSIDE_DOMAINS = ["stranger.example", "stranger.test"] as const;
const [OUTSIDE_DOMAIN] = OUTSIDE_DOMAINS;
/** Recipients there, so that a reader sees which is which. */
const FAR_DOMAINS = ["elsewhere.example", "elsewhere.test"] as const;
/** Values of one part that are tried; tables may have more keys. */
const MAX_VALUES = 2000;

export interface Choices {
  readonly hosts: readonly Host[];
  readonly helos: readonly (string | undefined)[];
  readonly senders: readonly string[];
  /** In no domain that a table names, as it seems. */
  readonly foreign: readonly string[];
  /** In domains that a table names, and in our own; whose they are the caller finds out. */
  readonly named: readonly string[];
  /** Fingerprints that tables list. */
  readonly fingerprints: readonly string[];
  /** Some table has more keys than are tried. */
  readonly capped: boolean;
}

export function choicesOf(rules: Iterable<Rule>, world: World): Choices {
  const keys = new TableKeys(rules, world);
  const { params } = world.services;
  const sendersIn = keys.of("check_sender_access", params.get("smtpd_sender_login_maps"));
  const recipientKeys = keys.of("check_recipient_access", []);
  const recipients = recipientKeys.flatMap(mailboxesFor);
  const locals = recipientKeys.filter((key) => key.endsWith("@"));
  const own = `someone@${ownDomain(world)}`;
  const ours = [ownDomain(world), relayDomain(world)].filter((domain) => domain !== undefined);
  const helo = keys.of("check_helo_access", []).flatMap(namesFor);
  return {
    hosts: hostsOf(keys, world),
    helos: unique([
      ...OUTSIDE_DOMAINS.map((domain) => `client.${domain}`),
      ...(params.get("smtpd_helo_required") ? [] : [undefined]),
      params.text("myhostname"),
      ...helo,
    ]),
    senders: unique([...OUTSIDE_DOMAINS.map((domain) => `someone@${domain}`), "", own, ...crossed(sendersIn)]),
    foreign: unique([...FAR_DOMAINS.map((domain) => `someone@${domain}`), ...recipients.filter(isAnywhere)]),
    named: unique([
      ...recipients.filter((address) => !isAnywhere(address)),
      ...locals.flatMap((local) => ours.map((domain) => `${local}${domain}`)),
    ]),
    fingerprints: keys
      .of("check_ccert_access", params.get("relay_clientcerts"))
      .filter((key) => /^[\dA-F:]+$/i.test(key)),
    capped: keys.capped,
  };
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}

/** A domain of $mydestination that is written out, else this host. */
export function ownDomain({ services: { params } }: World): string {
  const plain = (["mydestination", "virtual_mailbox_domains", "virtual_alias_domains"] as const)
    .flatMap((name) => params.get(name))
    .find((item) => isDomain(item) && item !== "localhost");
  return plain ?? params.text("myhostname");
}

/** A relay domain that is written out; undefined if there is none. */
export function relayDomain({ services: { params } }: World): string | undefined {
  const own = new Set(params.get("mydestination"));
  const domain = params.get("relay_domains").find((item) => isDomain(item.replace(/^\./, "")) && !own.has(item));
  return domain?.replace(/^\./, "host.");
}

function isDomain(item: string): boolean {
  return /^[\w-]+(?:\.[\w-]+)*$/.test(item);
}

/** Keys of the tables of one word, patterns as a text that they match. */
class TableKeys {
  readonly #byWord = new Map<string, Set<string>>();
  readonly #world: World;
  capped = false;

  constructor(rules: Iterable<Rule>, world: World) {
    this.#world = world;
    for (const { word, argument } of rules) {
      if (argument === undefined || !/^check_\w+_access$/.test(word)) continue;
      const refs = this.#byWord.get(word) ?? new Set();
      this.#byWord.set(word, refs.add(tableOf(argument)));
    }
  }

  /** Keys with a value that may help somebody; of `others` all keys. */
  of(word: string, others: readonly string[]): readonly string[] {
    const keys: string[] = [];
    for (const ref of this.#byWord.get(word) ?? []) keys.push(...this.#keysOf(ref, (value) => !alwaysRefuses(value)));
    for (const ref of others) keys.push(...this.#keysOf(ref, () => true));
    return keys;
  }

  /** Networks of cidr tables and of prefixes in others, whatever their value. */
  networks(): readonly Network[] {
    const refs = [...(this.#byWord.get("check_client_access") ?? []), ...tablesIn(this.#world.mynetworks)];
    const keys = refs.flatMap((ref) => this.#keysOf(ref, () => true));
    return keys.map(networkIn).filter((network) => network !== undefined);
  }

  #keysOf(ref: string, wanted: (value: string) => boolean): readonly string[] {
    const table: LookupTable = this.#world.services.tables.open(ref);
    if (!canSee(table)) return [];
    const patterns = /^(?:proxy:)*(?:regexp|pcre):/.test(ref);
    const permitting: string[] = [];
    const passing: string[] = [];
    let refuses = false;
    for (const [key, value] of pairsOf(table)) {
      refuses ||= alwaysRefuses(value);
      const text = !wanted(value) ? undefined : patterns ? sampleOf(key) : key;
      if (text !== undefined) (mayPermit(value) ? permitting : passing).push(text);
    }
    // A key that only goes on is no better than one that is not listed, unless unlisted ones are refused.
    const dropped = permitting.length > MAX_VALUES || (refuses && permitting.length + passing.length > MAX_VALUES);
    this.capped ||= dropped;
    return [...permitting, ...passing].slice(0, MAX_VALUES);
  }
}

/** All kinds of addresses, each without a name, and with every name that a stranger may have: his own, or one in a whole
 *  top-level domain that a table speaks of. */
function hostsOf(keys: TableKeys, { mynetworks }: World): readonly Host[] {
  const listed = mynetworks.patterns
    .map(({ pattern }) => networkIn(pattern))
    .filter((network) => network !== undefined);
  const addresses = strangerAddresses([...listed, ...keys.networks()]);
  const topLevel = keys
    .of("check_client_access", [])
    .filter((key) => /^\.?[a-z][a-z-]*$/i.test(key) && key !== "localhost" && key !== "unknown")
    .map((key) => `host.${key.replace(/^\./, "")}`);
  const names = ["unknown", ...OUTSIDE_DOMAINS.map((domain) => `client.${domain}`), ...topLevel];
  return names.flatMap((name) => addresses.map((address): Host => ({ address, name, reverseName: name })));
}

function namesFor(key: string): readonly string[] {
  return key.startsWith(".") ? [`host${key}`] : [key, `host.${key}`];
}

/** Addresses that an access(5) key for mail matches. */
function mailboxesFor(key: string): readonly string[] {
  if (key.endsWith("@")) return [`${key}${OUTSIDE_DOMAIN}`];
  if (key.startsWith("@")) return [`someone${key}`];
  if (key.includes("@")) return [key];
  if (!/^\.?[\w.[\]:-]+$/.test(key)) return [];
  return key.startsWith(".") ? [`someone@host${key}`] : [`someone@${key}`, `someone@host.${key}`];
}

/** Local parts and domains that are crossed at most. */
const MAX_CROSSED = 20;

/** Two tables may want a local part and a domain of the same sender. */
function crossed(keys: readonly string[]): readonly string[] {
  const addresses = keys.flatMap(mailboxesFor);
  const locals = keys.filter((key) => key.endsWith("@")).slice(0, MAX_CROSSED);
  const domains = [...new Set(addresses.map((address) => address.slice(address.lastIndexOf("@") + 1)))];
  return [
    ...addresses,
    ...locals.flatMap((local) => domains.slice(0, MAX_CROSSED).map((domain) => `${local}${domain}`)),
  ];
}

/** The address stands for a whole top-level domain, or for one local part at every domain. */
function isAnywhere(address: string): boolean {
  const domain = address.slice(address.lastIndexOf("@") + 1);
  return domain === OUTSIDE_DOMAIN || /^host\.[^.]+$/.test(domain) || !domain.includes(".");
}

/** A client certificate with this fingerprint; "" is one of the client's own making. */
export function peerWith(fingerprint: string, { trusted }: { readonly trusted: boolean }): TlsPeer {
  return {
    subject: "client",
    issuer: trusted ? "a public CA" : "client",
    certFingerprint: fingerprint || "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:01:23:45:67",
    publicKeyFingerprint: fingerprint || "FF:EE:DD:CC:BB:AA:99:88:77:66:55:44:33:22:11:00:76:54:32:10",
    trusted,
  };
}
