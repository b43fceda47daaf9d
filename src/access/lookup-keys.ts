/** access/lookup-keys.ts: the keys under which access(5) tables are searched, in order (postfix.md §5.8). The first key
 *  that is found decides. Tables that match whole keys only (regexp, cidr) get the full key alone. */
import { canonicalIp } from "../base/cidr.ts";
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";
import { splitExtension } from "../tables/keys.ts";

export interface KeyOptions {
  /** False for tables that match the full key only. */
  readonly partialKeys: boolean;
  /** smtpd_access_maps is in parent_domain_matches_subdomains: `example.com` matches `a.example.com`; else `.example.com`. */
  readonly plainParents: boolean;
  /** recipient_delimiter; any of its characters separates the extension. "" for none. */
  readonly delimiter: string;
}

/** More parents than this are not looked up: a name of 255 octets may have 127 labels. */
const MAX_PARENTS = 128;
/** Names and addresses whose keys are kept. A list asks many tables about the same few. */
const MAX_KEPT = 64;

/** The keys of one service. Those made last are kept: a list asks one table after the other about the same client. */
export class LookupKeys {
  readonly #options: KeyOptions;
  readonly #hosts = new Map<string, readonly string[]>();
  readonly #addresses = new Map<string, readonly string[]>();
  readonly #mails = new Map<Address, readonly string[]>();

  constructor(options: KeyOptions) {
    this.#options = options;
  }

  /** name, then its parent domains; an address that stands where a name should has none. */
  ofHost(name: string): readonly string[] {
    return kept(this.#hosts, name, () => domainKeys(name, this.#options));
  }

  /** The address, then its octet (IPv6: hextet) prefixes: `1.2.3`, `1.2`, `1`. */
  ofAddress(address: string): readonly string[] {
    return kept(this.#addresses, address, () => addressKeys(address, this.#options));
  }

  /** Host name keys, then address keys. */
  ofClient(name: string, address: string): readonly string[] {
    return [...this.ofHost(name), ...this.ofAddress(address)];
  }

  /** user+ext@dom, user@dom, dom, parents, user+ext@, user@, in small letters, also for tables that see letters: Postfix's
   *  smtpd folds what it has resolved. The null address is the caller's. */
  ofMail(address: Address): readonly string[] {
    return kept(this.#mails, address, () => mailKeys(asAddress(address.toLowerCase()), this.#options));
  }
}

function kept<K>(keys: Map<K, readonly string[]>, name: K, make: () => readonly string[]): readonly string[] {
  const known = keys.get(name);
  if (known) return known;
  if (keys.size >= MAX_KEPT) keys.clear();
  const made = make();
  keys.set(name, made);
  return made;
}

function domainKeys(name: string, { partialKeys, plainParents }: KeyOptions): string[] {
  const keys = [name];
  if (!partialKeys || name.startsWith("[") || canonicalIp(name) !== undefined) return keys;
  for (let dot = name.indexOf("."); dot >= 0 && keys.length <= MAX_PARENTS; dot = name.indexOf(".", dot + 1)) {
    const parent = name.slice(plainParents ? dot + 1 : dot);
    if (parent !== "" && parent !== ".") keys.push(parent);
  }
  return keys;
}

function addressKeys(address: string, { partialKeys }: KeyOptions): string[] {
  const keys = [address];
  if (!partialKeys) return keys;
  const separator = address.includes(":") ? ":" : ".";
  for (let end = address.lastIndexOf(separator); end > 0; end = address.lastIndexOf(separator, end - 1)) {
    const prefix = address.slice(0, end);
    if (!prefix.endsWith(separator)) keys.push(prefix);
  }
  return keys;
}

function mailKeys(address: Address, options: KeyOptions): string[] {
  if (!options.partialKeys) return [address];
  const domain = domainOf(address);
  const local = localPartOf(address);
  const plain = withoutExtension(local, options.delimiter);
  const keys: string[] = [address];
  if (domain !== undefined) {
    if (plain !== local) keys.push(`${plain}@${domain}`);
    if (domain !== "") keys.push(...domainKeys(domain, options));
  }
  keys.push(`${local}@`);
  if (plain !== local) keys.push(`${plain}@`);
  return keys;
}

/** The local part without its extension. */
function withoutExtension(local: string, delimiter: string): string {
  return splitExtension(local, delimiter)?.base ?? local;
}
