/** admin/check-tls-policy.ts: what the domain tells other servers of TLS: MTA-STS (RFC 8461), where reports on it go (RFC 8460),
 *  and who may issue certificates for the host (RFC 8659). */
import { allowsHost, parseStsPolicy, policyId } from "../smtp/mta-sts-policy.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import { zoneText } from "./zone-line.ts";

/** Of the hosts that a policy leaves out. */
const MAX_NAMED = 10;

/** Gets `https://HOST/.well-known/mta-sts.txt` from one of the addresses. */
export type FetchPolicy = (
  host: string,
  addresses: readonly string[],
) => Promise<{ readonly text: string } | { readonly problem: string }>;

export async function checkMtaSts(
  { site, view }: DnsCheckContext,
  parts: { readonly fetchPolicy: FetchPolicy; readonly nowMs: number },
): Promise<readonly DnsFinding[]> {
  const { domain } = site;
  const name = `_mta-sts.${domain}`;
  const answer = await view.txt(name);
  if (answer.kind === "unknown") return [unanswered("MTA-STS", name)];
  const id = new Date(parts.nowMs).toISOString().replace(/\D/g, "").slice(0, 14);
  const publish = [zoneText(name, `v=STSv1; id=${id}`)];
  const found = answer.kind === "found" ? answer.records.filter((text) => /^v=STSv1\s*(?:;|$)/.test(text)) : [];
  if (found.length === 0) {
    if (!site.receives) return [];
    const why = `with it, and a policy at https://mta-sts.${domain}/.well-known/mta-sts.txt, mail does not come in clear`;
    return [finding("optional", "MTA-STS", name, { why, publish })];
  }
  if (policyId(found) === undefined) {
    const why =
      found.length > 1 ? "there are several records, which count as none" : "it has no id of letters and digits";
    return [finding("wrong", "MTA-STS", name, { found, why, publish })];
  }
  return [finding("ok", "MTA-STS", name, { found }), await checkPolicy({ site, view }, parts.fetchPolicy)];
}

async function checkPolicy(
  { site, view }: Pick<DnsCheckContext, "site" | "view">,
  fetchPolicy: FetchPolicy,
): Promise<DnsFinding> {
  const host = `mta-sts.${site.domain}`;
  const name = `https://${host}/.well-known/mta-sts.txt`;
  const [addresses, mx] = await Promise.all([view.addresses(host), view.mx(site.domain)]);
  if (addresses.kind === "unknown" || mx.kind === "unknown") return unanswered("MTA-STS", host);
  if (addresses.kind === "none") {
    const why = "the record promises a policy, and this host has no address";
    return finding("wrong", "MTA-STS", host, { why });
  }
  const fetched = await fetchPolicy(host, addresses.records);
  if ("problem" in fetched) return finding("wrong", "MTA-STS", name, { why: `no policy: ${fetched.problem}` });
  const policy = parseStsPolicy(fetched.text);
  if ("problem" in policy)
    return finding("wrong", "MTA-STS", name, { why: `the policy cannot be read: ${policy.problem}` });
  const found = [`mode: ${policy.mode}`, ...policy.mx.map((one) => `mx: ${one}`), `max_age: ${policy.maxAgeS}`];
  const exchangers = mx.kind === "found" ? mx.records.map(({ exchange }) => exchange).filter(Boolean) : [];
  const outside = policy.mode === "none" ? [] : exchangers.filter((exchange) => !allowsHost(policy, exchange));
  if (outside.length > 0) {
    const why = `it does not allow ${outside.slice(0, MAX_NAMED).join(", ")}, so mail does not go there (add mx: lines, and a new id to the record)`;
    return finding("wrong", "MTA-STS", name, { found, why });
  }
  const why = policy.mode === "enforce" ? "" : `mode ${policy.mode}: nothing is enforced`;
  return finding("ok", "MTA-STS", name, { found, why });
}

export async function checkTlsRpt({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { domain, receives } = site;
  const name = `_smtp._tls.${domain}`;
  const publish = [zoneText(name, `v=TLSRPTv1; rua=mailto:postmaster@${domain}`)];
  const answer = await view.txt(name);
  if (answer.kind === "unknown") return [unanswered("TLSRPT", name)];
  const found = answer.kind === "found" ? answer.records.filter((text) => /^v=TLSRPTv1\s*(?:;|$)/.test(text)) : [];
  const [text] = found;
  if (text === undefined) {
    if (!receives) return [];
    return [
      finding("optional", "TLSRPT", name, { why: "others report failures of TLS to the address in it", publish }),
    ];
  }
  const wrong = (why: string) => [finding("wrong", "TLSRPT", name, { found, why, publish })];
  if (found.length > 1) return wrong("there are several records, which count as none");
  const uris =
    /;\s*rua\s*=\s*([^;]*)/
      .exec(text)?.[1]
      ?.split(",")
      .map((uri) => uri.trim()) ?? [];
  if (uris.length === 0) return wrong("it has no rua=, so reports go nowhere");
  const bad = uris.find((uri) => !/^(?:mailto:[^@\s]+@[^@\s]+|https:\/\/\S+)$/i.test(uri));
  if (bad !== undefined) return wrong(`"${bad}" is neither mailto: nor https:`);
  return [finding("ok", "TLSRPT", name, { found })];
}

/** Looked at where there is any: the closest above the host counts. */
export async function checkCaa({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const labels = site.host.split(".");
  for (let i = 0; i < labels.length - 1; i++) {
    const name = labels.slice(i).join(".");
    const answer = await view.caa(name);
    if (answer.kind === "unknown") return [unanswered("CAA", name)];
    if (answer.kind === "none") continue;
    const found = answer.records.map(({ tag, value }) => `${tag} "${value}"`);
    const issuers = answer.records.filter(({ tag }) => tag === "issue");
    if (issuers.length > 0 && issuers.every(({ value }) => /^\s*(?:;|$)/.test(value))) {
      return [finding("wrong", "CAA", name, { found, why: `no CA may issue a certificate for ${site.host}` })];
    }
    return [finding("ok", "CAA", name, { found, why: "certificates come from no other CA" })];
  }
  return [];
}
