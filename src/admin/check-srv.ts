/** admin/check-srv.ts: whether mail programs find the servers by DNS as `postern autoconfig` says (RFC 6186, RFC 8314 §5.1), and
 *  whether the digest of the PACC document is that of the document. */
import type { MailAccount } from "./account.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import type { SrvAnswer } from "./dns-view.ts";
import { paccDigest, paccDocument } from "./pacc.ts";
import { type SrvRecord, srvLine, srvRecords } from "./srv-records.ts";
import { zoneText } from "./zone-line.ts";

export async function checkSrv({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { account } = site;
  if (account === undefined) return [];
  const wanted = Map.groupBy(srvRecords(account), ({ name }) => name);
  const findings = await Promise.all([...wanted].map(([name, records]) => checkName(name, records, view)));
  return [...findings.flat(), ...(await checkPacc(account, view))];
}

async function checkName(
  name: string,
  wanted: readonly SrvRecord[],
  view: DnsCheckContext["view"],
): Promise<readonly DnsFinding[]> {
  const publish = wanted.map(srvLine);
  const answer = await view.srv(name);
  if (answer.kind === "unknown") return [unanswered("SRV", name)];
  const isOffered = wanted.some(({ target }) => target !== "");
  if (answer.kind === "none") {
    if (!isOffered) return []; // nothing there is as good as "."
    return [finding("optional", "SRV", name, { why: "mail programs find the server by it", publish })];
  }
  const found = answer.records.map(({ priority, port, target }) => `${priority} ${port} ${target || "."}`);
  const wrong = (why: string) => [finding("wrong", "SRV", name, { found, why, publish })];
  const offered = answer.records.filter(({ target }) => target !== "");
  if (!isOffered) {
    if (offered.length === 0) return [finding("ok", "SRV", name, { found })];
    return wrong("mail programs are sent to a service that is not there");
  }
  const strange = answer.records.filter((one) => !wanted.some((record) => isSame(one, record)));
  if (strange.length > 0) return wrong("mail programs are sent elsewhere than to the services of master.cf");
  if (wanted.some((record) => !offered.some((one) => isSame(one, record)))) return wrong("a service is missing");
  for (const { target } of offered) {
    const alias = await view.alias(target);
    if (alias.kind === "found") return wrong(`${target} is an alias, which a SRV record must not name (RFC 2782)`);
    if ((await view.addresses(target)).kind === "none") return wrong(`${target} has no address`);
  }
  if (name.startsWith("_submission._tcp") && !(await isSecond(name, offered, view))) {
    return wrong("it goes before _submissions._tcp: TLS from the first byte should be preferred (RFC 8314 §5.1)");
  }
  return [finding("ok", "SRV", name, { found })];
}

function isSame({ port, target }: SrvAnswer, wanted: SrvRecord): boolean {
  return port === wanted.port && target === wanted.target;
}

/** Whether submission with TLS from the first byte, where it is offered, is preferred or left to the program. */
async function isSecond(name: string, own: readonly SrvAnswer[], view: DnsCheckContext["view"]): Promise<boolean> {
  const implicit = await view.srv(name.replace("_submission.", "_submissions."));
  if (implicit.kind !== "found") return true;
  const first = (records: readonly SrvAnswer[]) => Math.min(...records.map(({ priority }) => priority));
  const offered = implicit.records.filter(({ target }) => target !== "");
  return offered.length === 0 || first(offered) <= first(own);
}

/** Whoever has not published anything is not told of it: no program asks yet. */
async function checkPacc(account: MailAccount, view: DnsCheckContext["view"]): Promise<readonly DnsFinding[]> {
  const name = `_ua-auto-config.${account.domain}`;
  const answer = await view.txt(name);
  if (answer.kind === "unknown") return [unanswered("PACC", name)];
  const found = answer.kind === "found" ? answer.records.filter((text) => /^v\s*=\s*UAAC1\s*(?:;|$)/.test(text)) : [];
  if (found.length === 0) return [];
  const document = paccDocument(account);
  if (typeof document !== "string") return [finding("wrong", "PACC", name, { found, why: document.problem })];
  const digest = paccDigest(document);
  const tagOf = (text: string) => /;\s*d\s*=\s*([^;\s]+)/.exec(text)?.[1];
  if (found.some((text) => tagOf(text) === tagOf(digest))) return [finding("ok", "PACC", name, { found })];
  const why = "it is the digest of another document than `postern autoconfig --format pacc` makes";
  return [finding("wrong", "PACC", name, { found, why, publish: [zoneText(name, digest)] })];
}
