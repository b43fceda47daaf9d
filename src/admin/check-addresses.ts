/** admin/check-addresses.ts: the name that this server says in EHLO, and the names of the addresses that it sends from: each
 *  address should have one that leads back to it (RFC 1912 §2.1). Large receivers refuse mail from others. */
import { parseAddress } from "../base/cidr.ts";
import { reverseName } from "../dns/create.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import { zoneRecord } from "./zone-line.ts";

/** Of one address; receivers do not look at more either. */
const MAX_NAMES = 10;

export async function checkHost({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { host, addresses } = site;
  const answer = await view.addresses(host);
  if (answer.kind === "unknown") return [unanswered("A", host)];
  if (answer.kind === "found") return [finding("ok", "A", host, { found: [answer.records.join(", ")] })];
  const publish = addresses.map((address) => zoneRecord(host, address.includes(":") ? "AAAA" : "A", address));
  const why = "myhostname, the name that this server says in EHLO, has no address: receivers refuse it";
  return [finding("missing", "A", host, { why, publish })];
}

export async function checkReverse({ site, view, addresses }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  if (site.relayhost !== "" && site.addresses.length === 0) return [];
  return Promise.all(addresses.map((address) => checkAddress(address, { host: site.host, view })));
}

async function checkAddress(
  address: string,
  { host, view }: { readonly host: string; readonly view: DnsCheckContext["view"] },
): Promise<DnsFinding> {
  const ip = parseAddress(address);
  const name = ip === undefined ? address : reverseName(ip);
  const publish = [zoneRecord(name, "PTR", `${host}.`)];
  const answer = await view.names(address);
  if (answer.kind === "unknown") return unanswered("PTR", name);
  if (answer.kind === "none") {
    const why = `${address} has no name: large receivers refuse its mail. Who gave you the address publishes this`;
    return finding("missing", "PTR", name, { why, publish });
  }
  const found = answer.records.slice(0, MAX_NAMES);
  for (const one of found) {
    const back = await view.addresses(one);
    if (back.kind === "unknown") return unanswered("A", one);
    if (back.kind !== "found" || !back.records.includes(address)) continue;
    const why = one === host ? "" : `leads back to ${address}; the server calls itself ${host}`;
    return finding("ok", "PTR", name, { found, why });
  }
  const why = `the name does not lead back to ${address}: receivers take it for a forgery`;
  return finding("wrong", "PTR", name, { found, why, publish });
}
