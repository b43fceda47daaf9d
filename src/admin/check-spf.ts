/** admin/check-spf.ts: whether receivers believe mail of the domain from this server's addresses (RFC 7208), and its bounces, for
 *  which the record of the host name counts (§2.4). */
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import { type SpfCoverage, spfCoverage } from "./spf-coverage.ts";
import { isSpf, parseSpf, withAddresses, withAll } from "./spf-record.ts";
import { zoneText } from "./zone-line.ts";

/** RFC 7208 §4.6.4. One more, and every verifier says "permerror". */
const MAX_LOOKUPS = 10;

export async function checkSpf(context: DnsCheckContext): Promise<readonly DnsFinding[]> {
  return (await Promise.all([checkDomain(context), checkHostName(context)])).flat();
}

async function checkDomain(context: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { site, view } = context;
  const { domain, relayhost } = site;
  const isOurs = relayhost === "" || site.addresses.length > 0;
  const addresses = isOurs ? context.addresses : [];
  const answer = await view.txt(domain);
  if (answer.kind === "unknown") return [unanswered("SPF", domain)];
  const found = answer.kind === "found" ? answer.records.filter(isSpf) : [];
  const [text, ...more] = found;
  if (text === undefined) {
    const fresh = addresses.length > 0 ? withAddresses("v=spf1 ~all", addresses) : "v=spf1 mx ~all";
    const why =
      "receivers cannot tell this server's mail from a forgery. Others that send for the domain belong into it, too";
    return [finding("missing", "SPF", domain, { why, publish: [zoneText(domain, fresh)] })];
  }
  const covered = await Promise.all(addresses.map(async (address) => ({ address, ...(await ask(address, context)) })));
  if (covered.some(({ result }) => result === "temperror")) return [unanswered("SPF", domain)];
  const outside = covered.filter(({ result }) => result !== "pass");
  const whys = [
    ...(more.length > 0 ? ["there are several records; verifiers then use none"] : []),
    ...textProblems(text),
  ];
  if (whys.length === 0) whys.push(...outside.map(notCovered));
  if (whys.length > 0) {
    const missing = covered.filter(({ result }) => result !== "pass" && result !== "permerror");
    const publish = [
      zoneText(
        domain,
        amended(
          text,
          missing.map(({ address }) => address),
        ),
      ),
    ];
    return [finding("wrong", "SPF", domain, { found, why: [...new Set(whys)].join("; "), publish })];
  }
  return [finding("ok", "SPF", domain, { found, why: remarks(text, covered, isOurs ? "" : relayhost) })];
}

function notCovered({ address, result, text }: SpfCoverage & { readonly address: string }): string {
  if (result === "permerror") return `verifiers give up (permerror): ${text}`;
  return `${address}, which mail leaves from, is not covered (${result})`;
}

function ask(address: string, { site, view }: DnsCheckContext) {
  return spfCoverage({ address, host: site.host, domain: site.domain }, view);
}

function textProblems(text: string): readonly string[] {
  const { all, problems } = parseSpf(text);
  if (problems.length > 0) return problems;
  if (all === "+") return ["+all lets everybody send in the domain's name"];
  if (all === "?" || all === undefined) {
    const what = all === "?" ? '"?all"' : 'a record without "all"';
    return [`${what} says neither yes nor no of other addresses: forgeries pass`];
  }
  return [];
}

/** A record that does what it should; what cannot be read is left for a person. */
function amended(text: string, addresses: readonly string[]): string {
  const { all } = parseSpf(text);
  const ended = all === "+" || all === "?" || all === undefined ? withAll(text, "~all") : text;
  return withAddresses(ended, addresses);
}

function remarks(text: string, covered: readonly SpfCoverage[], relayhost: string): string {
  const lookups = Math.max(0, ...covered.map((one) => one.lookups));
  return [
    ...parseSpf(text).remarks,
    ...(covered.some(({ strictFails }) => strictFails)
      ? ["strict verifiers give up: an included record has an error, or too many names in it have no records"]
      : []),
    ...(lookups >= MAX_LOOKUPS - 1 ? [`it takes ${lookups} DNS lookups of the ${MAX_LOOKUPS} that are allowed`] : []),
    ...(relayhost === ""
      ? []
      : [`mail leaves through ${relayhost}: whether it is covered was not looked at (--address)`]),
  ].join("; ");
}

async function checkHostName(context: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { site, view, addresses } = context;
  const { host, domain } = site;
  if (host === domain || (site.relayhost !== "" && site.addresses.length === 0)) return [];
  const answer = await view.txt(host);
  if (answer.kind === "unknown") return [unanswered("SPF", host)];
  const found = answer.kind === "found" ? answer.records.filter(isSpf) : [];
  const publish = [
    zoneText(host, withAddresses(site.addresses.length > 0 ? "v=spf1 -all" : "v=spf1 a -all", site.addresses)),
  ];
  if (found.length === 0) {
    return [
      finding("optional", "SPF", host, { why: "bounces have no sender: for them the host's record counts", publish }),
    ];
  }
  for (const address of addresses) {
    const { result, text } = await spfCoverage({ address, host, domain: undefined }, view);
    if (result === "temperror") return [unanswered("SPF", host)];
    if (result === "pass") continue;
    const why = `${address} is not covered (${result === "permerror" ? text : result}): receivers refuse bounces`;
    return [finding("wrong", "SPF", host, { found, why, publish })];
  }
  return [finding("ok", "SPF", host, { found })];
}
