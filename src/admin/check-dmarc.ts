/** admin/check-dmarc.ts: what the domain asks receivers to do with forgeries (RFC 9989), and whether those that it has reports sent
 *  to want them (RFC 9990 §4). */
import { isDmarc, parseDmarc } from "./dmarc-record.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import type { Looked } from "./dns-view.ts";
import { zoneText } from "./zone-line.ts";

/** Other domains that reports go to; receivers need not send more than two. */
const MAX_FOREIGN = 10;
/** Most names that the record is looked for at (RFC 9989 §4.10). */
const MAX_STEPS = 8;

export async function checkDmarc({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { domain } = site;
  const name = `_dmarc.${domain}`;
  const fresh = zoneText(name, `v=DMARC1; p=none; rua=mailto:postmaster@${domain}`);
  for (const owner of ownersOf(domain)) {
    const answer = await view.txt(`_dmarc.${owner}`);
    if (answer.kind === "unknown") return [unanswered("DMARC", `_dmarc.${owner}`)];
    const found = answer.kind === "found" ? answer.records.filter(isDmarc) : [];
    if (found.length === 0) continue;
    const main = judge(found, { domain, owner });
    const { reportDomains } = parseDmarc(found[0] ?? "");
    const foreign = reportDomains
      .filter((one) => one !== owner && !one.endsWith(`.${owner}`))
      .sort()
      .slice(0, MAX_FOREIGN);
    const permits = await Promise.all(foreign.map((one) => checkPermit(`${owner}._report._dmarc.${one}`, view)));
    return [main, ...permits];
  }
  const why =
    "large receivers want one of who sends much. p=none only asks for reports; quarantine or reject once these are good";
  return [finding("missing", "DMARC", name, { why, publish: [fresh] })];
}

/** The domain, then its parents but for the last label. */
function ownersOf(domain: string): readonly string[] {
  const labels = domain.split(".");
  const parents = labels.slice(1, -1).map((_label, i) => labels.slice(i + 1).join("."));
  return [domain, ...parents.slice(-(MAX_STEPS - 1))];
}

function judge(
  found: readonly string[],
  { domain, owner }: { readonly domain: string; readonly owner: string },
): DnsFinding {
  const [text = "", ...more] = found;
  const name = `_dmarc.${owner}`;
  const { policy, problems, remarks, reportsTo } = parseDmarc(text);
  const whys = [...(more.length > 0 ? ["there are several records; receivers then use none"] : []), ...problems];
  if (whys.length > 0) {
    const rua = reportsTo.length > 0 ? reportsTo.join(",") : `mailto:postmaster@${owner}`;
    const publish = [zoneText(name, `v=DMARC1; p=${policy}; rua=${rua}`)];
    return finding("wrong", "DMARC", name, { found, why: whys.join("; "), publish });
  }
  const notes = [
    ...(owner === domain ? [] : [`the record of ${owner} counts`]),
    ...(policy === "none" ? ["p=none asks for reports only: forgeries are delivered"] : []),
    ...(reportsTo.length === 0 ? ["nobody gets reports (rua=)"] : []),
    ...remarks,
  ];
  return finding("ok", "DMARC", name, { found, why: notes.join("; ") });
}

async function checkPermit(name: string, view: { txt(name: string): Promise<Looked<string>> }): Promise<DnsFinding> {
  const answer = await view.txt(name);
  if (answer.kind === "unknown") return unanswered("DMARC", name);
  const found = answer.kind === "found" ? answer.records.filter(isDmarc) : [];
  if (found.length > 0) return finding("ok", "DMARC", name, { found });
  const why = "reports that go to another domain are sent only if that domain says that it wants them";
  return finding("missing", "DMARC", name, { why, publish: [zoneText(name, "v=DMARC1")] });
}
