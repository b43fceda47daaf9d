/** admin/check-mx.ts: where answers and bounces go (RFC 5321 §5.1, RFC 7505, RFC 2181 §10.3). */
import { parseAddress } from "../base/cidr.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import { zoneRecord } from "./zone-line.ts";

/** A domain that lists more is looked at so far. */
const MAX_EXCHANGERS = 20;

export async function checkMx({ site, view, addresses }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { domain, host, receives } = site;
  const publish = receives ? [zoneRecord(domain, "MX", `10 ${host}.`)] : [];
  const answer = await view.mx(domain);
  if (answer.kind === "unknown") return [unanswered("MX", domain)];
  if (answer.kind === "none") {
    return [finding("missing", "MX", domain, { why: "answers and bounces have no way back to its senders", publish })];
  }
  const records = [...answer.records].sort((a, b) => a.preference - b.preference).slice(0, MAX_EXCHANGERS);
  const found = records.map(({ preference, exchange }) => `${preference} ${exchange || "."}`);
  if (records.some(({ exchange }) => exchange === "")) {
    const why = "a null MX says that the domain takes no mail: many receivers refuse mail from it (RFC 7505 §4.2)";
    return [finding("wrong", "MX", domain, { found, why, publish })];
  }
  const exchangers = [...new Set(records.map(({ exchange }) => exchange))];
  const problems = (await Promise.all(exchangers.map((exchange) => checkExchanger(exchange, view)))).flat();
  if (problems.some(({ state }) => state === "unknown")) return problems;
  const known = exchangers.some((exchange) => exchange === host || site.exchangers.includes(exchange));
  const ours = known || (await pointsHere(exchangers, { view, addresses }));
  if (receives && !ours) {
    const why =
      "none of them is this server, which takes mail for the domain by its configuration (--mx names a host in front)";
    return [finding("wrong", "MX", domain, { found, why, publish }), ...problems];
  }
  if (problems.length > 0) return problems;
  const why = receives || ours ? "" : "mail for the domain goes elsewhere";
  return [finding("ok", "MX", domain, { found, why })];
}

async function checkExchanger(exchange: string, view: DnsCheckContext["view"]): Promise<readonly DnsFinding[]> {
  if (parseAddress(exchange) !== undefined) {
    return [finding("wrong", "MX", exchange, { why: "an MX record must name a host, not an address" })];
  }
  const [alias, addresses] = await Promise.all([view.alias(exchange), view.addresses(exchange)]);
  if (alias.kind === "found") {
    const [target = ""] = alias.records;
    const why = `an MX record must not name an alias (it leads to ${target}): some senders do not follow it`;
    return [finding("wrong", "MX", exchange, { why })];
  }
  if (addresses.kind === "unknown") return [unanswered("MX", exchange)];
  if (addresses.kind === "found") return [];
  return [finding("wrong", "MX", exchange, { why: "an MX record names this host, which has no address" })];
}

async function pointsHere(
  exchangers: readonly string[],
  { view, addresses }: Pick<DnsCheckContext, "view" | "addresses">,
): Promise<boolean> {
  const looked = await Promise.all(exchangers.map((exchange) => view.addresses(exchange)));
  return looked.some((one) => one.kind === "found" && one.records.some((address) => addresses.includes(address)));
}
