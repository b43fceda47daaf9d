/** admin/dns-check.ts: all records that mail of a domain depends on, compared with the configuration, and the mailboxes that it should
 *  have. Asks DNS and, for MTA-STS, one web server; changes nothing. */
import { checkHost, checkReverse } from "./check-addresses.ts";
import { checkDkim } from "./check-dkim.ts";
import { checkDmarc } from "./check-dmarc.ts";
import { checkMailboxes } from "./check-mailboxes.ts";
import { checkMx } from "./check-mx.ts";
import { checkSpf } from "./check-spf.ts";
import { checkSrv } from "./check-srv.ts";
import { checkCaa, checkMtaSts, checkTlsRpt, type FetchPolicy } from "./check-tls-policy.ts";
import { checkTlsa } from "./check-tlsa.ts";
import { type DnsCheckContext, type DnsFinding, type DnsSite, unanswered } from "./dns-finding.ts";
import type { DnsView } from "./dns-view.ts";

/** Addresses of the host that are looked at. */
const MAX_ADDRESSES = 16;

export interface DnsCheckParts {
  readonly view: DnsView;
  readonly fetchPolicy: FetchPolicy;
  readonly nowMs: number;
}

export interface DnsReport {
  /** That mail leaves from, as far as is known. */
  readonly addresses: readonly string[];
  /** In the order in which they are to be read. */
  readonly findings: readonly DnsFinding[];
}

/** Never rejects for anything that DNS says or does not say. */
export async function checkDns(site: DnsSite, parts: DnsCheckParts): Promise<DnsReport> {
  const { view } = parts;
  const mx = await view.mx(site.domain);
  // Nobody answers: the other questions would only wait.
  if (mx.kind === "unknown") return { addresses: site.addresses, findings: [unanswered("MX", site.domain)] };
  const own = await view.addresses(site.host);
  const addresses =
    site.addresses.length > 0 ? site.addresses : own.kind === "found" ? own.records.slice(0, MAX_ADDRESSES) : [];
  const context: DnsCheckContext = { site, view, addresses };
  const findings = await Promise.all([
    checkMx(context),
    checkHost(context),
    checkReverse(context),
    checkSpf(context),
    checkDkim(context),
    checkDmarc(context),
    checkSrv(context),
    checkTlsa(context),
    checkMtaSts(context, parts),
    checkTlsRpt(context),
    checkCaa(context),
    checkMailboxes(context),
  ]);
  const isTheirs = site.relayhost !== "" && site.addresses.length === 0;
  return { addresses: isTheirs ? [] : addresses, findings: findings.flat() };
}
