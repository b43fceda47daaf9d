/** admin/check-mailboxes.ts: the mailboxes that a domain should have (RFC 5321 §4.5.1, RFC 2142), and those that its records have
 *  reports sent to: whether this server, if it takes mail for the domain, takes mail for them. */
import { reportTargets } from "../smtp/tls-report.ts";
import { isDmarc, parseDmarc } from "./dmarc-record.ts";
import { type DnsCheckContext, type DnsFinding, finding } from "./dns-finding.ts";
import type { DnsView } from "./dns-view.ts";
import type { MailboxState } from "./mailbox-state.ts";

const TOPIC = "MAILBOX";
/** Why mail suffers without them. */
const EXPECTED: ReadonlyMap<string, string> = new Map([
  ["postmaster", "every domain that takes mail must have it (RFC 5321 §4.5.1)"],
  ["abuse", "who gets bad mail from the domain writes there (RFC 2142 §4)"],
]);
/** For those who run a network or name servers, or publish software. */
const RECOMMENDED = ["security", "noc", "hostmaster"] as const;
/** Addresses of reports that are looked at. */
const MAX_REPORTS = 10;

export async function checkMailboxes({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { domain, receives } = site;
  if (!receives) return [];
  const at = (name: string) => `${name}@${domain}`;
  const expected = [...EXPECTED.keys()].map(at);
  const recommended = RECOMMENDED.map(at);
  const reports = (await reportAddresses(domain, view)).filter((one) => !expected.includes(one));
  const states = await site.mailboxes([...expected, ...recommended, ...reports]);
  const those = (addresses: readonly string[], state: MailboxState) =>
    addresses.filter((one) => states.get(one) === state);
  const findings: DnsFinding[] = [];
  const taken = those([...expected, ...recommended, ...reports], "taken");
  if (taken.length > 0) findings.push(finding("ok", TOPIC, domain, { found: [taken.join(", ")] }));
  for (const [name, why] of EXPECTED) {
    if (states.get(at(name)) !== "refused") continue;
    findings.push(finding("missing", TOPIC, at(name), { why: `${why}, but this server refuses it: add an alias` }));
  }
  for (const address of those(reports, "refused")) {
    const why = "a record of the domain has reports sent there, but this server refuses it: add an alias";
    findings.push(finding("wrong", TOPIC, address, { why }));
  }
  const absent = those(recommended, "refused");
  if (absent.length > 0) {
    const why = "for those who find a hole, or a fault of the network or of DNS (RFC 2142 §4, §7)";
    findings.push(finding("optional", TOPIC, absent.join(", "), { why }));
  }
  const open = those([...expected, ...reports], "unknown");
  if (open.length > 0) {
    findings.push(finding("unknown", TOPIC, open.join(", "), { why: "a lookup table does not answer now" }));
  }
  return findings;
}

/** Where DMARC and TLS reports on the domain go by mail; its own records only. */
async function reportAddresses(domain: string, view: DnsView): Promise<readonly string[]> {
  const [dmarc, tls] = await Promise.all([view.txt(`_dmarc.${domain}`), view.txt(`_smtp._tls.${domain}`)]);
  const [record] = dmarc.kind === "found" ? dmarc.records.filter(isDmarc) : [];
  const targets = [
    ...(record === undefined ? [] : parseDmarc(record).reportsTo),
    ...(tls.kind === "found" ? reportTargets(tls.records) : []),
  ];
  const addresses = targets.flatMap((uri) => /^mailto:([^\s@!?]+@[^\s@!?]+)/i.exec(uri)?.[1] ?? []);
  return [...new Set(addresses)].slice(0, MAX_REPORTS);
}
