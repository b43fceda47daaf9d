/** access/lookup-keys.ts: the keys under which access(5) tables are searched, in order (postfix.md §5.8). The first key
 *  that is found decides. Tables that match whole keys only (regexp, cidr) get the full key alone. */
import { canonicalIp } from "../base/cidr.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
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

/** name, then its parent domains; an address that stands where a name should has none. */
export function domainKeys(name: string, options: KeyOptions): string[] {
  const keys = [name];
  if (!options.partialKeys || name.startsWith("[") || canonicalIp(name) !== undefined) return keys;
  for (let dot = name.indexOf("."); dot >= 0 && keys.length <= MAX_PARENTS; dot = name.indexOf(".", dot + 1)) {
    const parent = name.slice(options.plainParents ? dot + 1 : dot);
    if (parent !== "" && parent !== ".") keys.push(parent);
  }
  return keys;
}

/** The address, then its octet (IPv6: hextet) prefixes: `1.2.3`, `1.2`, `1`. */
export function addressKeys(address: string, options: KeyOptions): string[] {
  const keys = [address];
  if (!options.partialKeys) return keys;
  const separator = address.includes(":") ? ":" : ".";
  for (let end = address.lastIndexOf(separator); end > 0; end = address.lastIndexOf(separator, end - 1)) {
    const prefix = address.slice(0, end);
    if (!prefix.endsWith(separator)) keys.push(prefix);
  }
  return keys;
}

/** Host name keys, then address keys. */
export function clientKeys(name: string, address: string, options: KeyOptions): string[] {
  return [...domainKeys(name, options), ...addressKeys(address, options)];
}

/** user+ext@dom, user@dom, dom, parents, user+ext@, user@. The null address is the caller's. */
export function mailKeys(address: Address, options: KeyOptions): string[] {
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

/** user+ext@dom, user@dom, then for our own domains user+ext, user, then @dom (smtpd_sender_login_maps). */
export function ownerKeys(address: Address, options: KeyOptions & { readonly ownDomain: boolean }): string[] {
  if (!options.partialKeys) return [address];
  const domain = domainOf(address);
  const local = localPartOf(address);
  const plain = withoutExtension(local, options.delimiter);
  const keys: string[] = [address];
  if (domain !== undefined && plain !== local) keys.push(`${plain}@${domain}`);
  if (domain === undefined || options.ownDomain) {
    keys.push(local);
    if (plain !== local) keys.push(plain);
  }
  if (domain !== undefined) keys.push(`@${domain}`);
  return [...new Set(keys)];
}

/** The local part without its extension. */
function withoutExtension(local: string, delimiter: string): string {
  return splitExtension(local, delimiter)?.base ?? local;
}
