/** proof/choices.ts: what a client can choose, as far as it can make a difference: addresses, names, HELO, senders and
 *  recipients that some table of the lists knows, and plain ones. Reads tables that can be seen; asks no server. */

import type { Rule } from "../access/restriction.ts";
import type { Network } from "../base/cidr.ts";
import type { TlsPeer } from "../mail/client.ts";
import type { LookupTable } from "../tables/table.ts";
import { type Part, partOf, tablesIn } from "./answer.ts";
import { networkIn, strangerAddresses } from "./networks.ts";
import type { World } from "./question.ts";
import { sampleOf } from "./regexp-sample.ts";
import type { Host } from "./scenario.ts";
import { canSee, type Effect, pairsOf, tableOf } from "./sight.ts";

/** Domains that are nobody's (RFC 2606), in two top-level domains, as a table may name one of them. */
const OUTSIDE_DOMAINS = ["stranger.example", "stranger.test"] as const;
/** `user@` is the last key that is asked: a table may stop at the domain, or at its top level, before it comes there. */
const LOCAL_PART_DOMAINS: readonly string[] = [...OUTSIDE_DOMAINS, "stranger.invalid"];
/** Recipients there, so that a reader sees which is which. */
const FAR_DOMAINS = ["elsewhere.example", "elsewhere.test"] as const;
/** Keys of one table that are tried, and those with the same effect. */
const MAX_VALUES = 1000;
const MAX_ALIKE = 50;

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
  /** Tables with more keys than are tried. */
  readonly capped: ReadonlySet<string>;
}

export function choicesOf(rules: Iterable<Rule>, world: World): Choices {
  const keys = new TableKeys(rules, world);
  const { params } = world.services;
  const sendersIn = keys.of("check_sender_access", "sender", params.get("smtpd_sender_login_maps"));
  const recipientKeys = keys.of("check_recipient_access", "recipient");
  const recipients = recipientKeys.flatMap(mailboxesFor);
  const locals = recipientKeys.filter((key) => key.endsWith("@"));
  const own = `someone@${ownDomain(world)}`;
  const ours = [ownDomain(world), relayDomain(world)].filter((domain) => domain !== undefined);
  const helo = keys.of("check_helo_access", "helo").flatMap(namesFor);
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
      .of("check_ccert_access", "peer", params.get("relay_clientcerts"))
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

/** Keys of the tables of one word, patterns as a text that they match. Keys of one table with the same effect are alike
 *  unless another restriction looks at the same part, so only some of them are taken. */
class TableKeys {
  readonly #byWord = new Map<string, Set<string>>();
  readonly #parts = new Map<Part, number>();
  readonly #world: World;
  /** Tables of which keys were left out that may make a difference. */
  readonly capped = new Set<string>();

  constructor(rules: Iterable<Rule>, world: World) {
    this.#world = world;
    for (const rule of rules) {
      const part = partOf(rule);
      if (part !== undefined) this.#parts.set(part, (this.#parts.get(part) ?? 0) + 1);
      if (rule.argument === undefined || !/^check_\w+_access$/.test(rule.word)) continue;
      const refs = this.#byWord.get(rule.word) ?? new Set();
      this.#byWord.set(rule.word, refs.add(tableOf(rule.argument)));
    }
  }

  /** Keys with a value that may help somebody; of `others` all keys. */
  of(word: string, part: Part, others: readonly string[] = []): readonly string[] {
    const keys: string[] = [];
    const alone = (this.#parts.get(part) ?? 0) < 2 && others.length === 0;
    for (const ref of this.#byWord.get(word) ?? []) {
      const found = this.#keysOf(ref, ({ refuses }) => !refuses);
      if (found.dropped && !alone) this.capped.add(ref);
      keys.push(...found.keys);
    }
    for (const ref of others) keys.push(...this.#keysOf(ref, () => true).keys);
    return keys;
  }

  /** Networks of cidr tables and of prefixes in others, whatever their value. */
  networks(): readonly Network[] {
    const refs = [...(this.#byWord.get("check_client_access") ?? []), ...tablesIn(this.#world.mynetworks)];
    const networks: Network[] = [];
    for (const ref of refs) {
      const table = this.#world.services.tables.open(ref);
      if (!canSee(table)) continue;
      for (const [key] of pairsOf(table)) {
        const network = networkIn(key);
        if (network !== undefined) networks.push(network);
      }
    }
    return networks;
  }

  #keysOf(
    ref: string,
    wanted: (effect: Effect) => boolean,
  ): { readonly keys: readonly string[]; readonly dropped: boolean } {
    const table: LookupTable = this.#world.services.tables.open(ref);
    if (!canSee(table)) return { keys: [], dropped: false };
    const patterns = /^(?:proxy:)*(?:regexp|pcre):/.test(ref);
    const counts = new Map<string, number>();
    const keys: string[] = [];
    let refuses = false;
    let droppedPermit = false;
    let droppedOther = false;
    for (const [key, value] of pairsOf(table)) {
      const effect = this.#world.values.effectOf(value);
      refuses ||= effect.refuses;
      const text = !wanted(effect) ? undefined : patterns ? sampleOf(key) : key;
      if (text === undefined) continue;
      const count = counts.get(effect.text) ?? 0;
      counts.set(effect.text, count + 1);
      if (count < MAX_ALIKE && keys.length < MAX_VALUES) keys.push(text);
      else if (effect.mayPermit) droppedPermit = true;
      else droppedOther = true;
    }
    // A key that only goes on is no better than one that is not listed, unless unlisted ones are refused.
    return { keys, dropped: droppedPermit || (refuses && droppedOther) };
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
    .of("check_client_access", "host")
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
  if (key.endsWith("@")) return LOCAL_PART_DOMAINS.map((domain) => `${key}${domain}`);
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
  return LOCAL_PART_DOMAINS.includes(domain) || /^host\.[^.]+$/.test(domain) || !domain.includes(".");
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
