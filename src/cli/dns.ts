/** cli/dns.ts: `postern dns check`: whether DNS has what mail of a domain needs, and what to publish where it has not. */
import { getServers } from "node:dns";
import { parseArgs } from "node:util";
import { accountDomain } from "../admin/account.ts";
import { checkDns } from "../admin/dns-check.ts";
import type { DnsFinding } from "../admin/dns-finding.ts";
import { DnsView } from "../admin/dns-view.ts";
import { policyFetch } from "../admin/policy-fetch.ts";
import { canonicalIp } from "../base/cidr.ts";
import { systemClock } from "../base/clock.ts";
import { scopeOf } from "../config/load.ts";
import { parseNameServer, stubServers } from "../dns/servers.ts";
import { StubResolver } from "../dns/stub.ts";
import { publicAuthorities } from "../net/tls-files.ts";
import { requireConfiguration } from "./config-commands.ts";
import { formatReport, reportAsJson } from "./dns-format.ts";
import { readSite } from "./dns-site.ts";
import { type Command, EXIT, failed } from "./terminal.ts";

const USAGE = `Usage: postern [-c DIR] dns check DOMAIN [--json] [--resolver ADDRESS[:PORT]] [--address IP]… [--mx HOST]…

Compares DNS with the configuration: MX, host name, PTR, SPF, DKIM, DMARC, SRV, TLSA, MTA-STS, TLSRPT, CAA; and
tells which mailboxes (postmaster, abuse …) are missing.
  --resolver ADDRESS[:PORT]   asks this name server, and believes it when it says that an answer is signed
  --address IP                mail leaves from this address (behind NAT, through a relay host); may be repeated
  --mx HOST                   this host takes mail for this server, such as a filter in front; may be repeated
`;

const OPTIONS = {
  json: { type: "boolean" },
  resolver: { type: "string", multiple: true },
  address: { type: "string", multiple: true },
  mx: { type: "string", multiple: true },
  help: { type: "boolean", short: "h" },
} as const;

/** Of one try; there are two at each name server. */
const TIMEOUT_MS = 2500;
const HTTPS_PORT = 443;

interface Wanted {
  readonly domain: string;
  readonly json: boolean;
  readonly resolvers: readonly string[];
  readonly addresses: readonly string[];
  readonly exchangers: readonly string[];
}

export const dns: Command = async (args, terminal) => {
  const wanted = parse(args);
  if ("problem" in wanted) return failed(terminal, "dns", `${wanted.problem}\n${USAGE.trimEnd()}`, EXIT.usage);
  if ("help" in wanted) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  const snapshot = await requireConfiguration(terminal, "dns");
  if (snapshot === undefined) return EXIT.configuration;
  const { resolvers } = wanted;
  const named = resolvers.length > 0 ? resolvers : scopeOf(snapshot).get("postern_dns_servers");
  const servers = stubServers(named, getServers());
  const site = await readSite(snapshot, { ...wanted, validates: servers.every(({ trusted }) => trusted) });
  const view = new DnsView(new StubResolver({ servers, clock: systemClock, timeoutMs: TIMEOUT_MS }));
  const authorities = () => publicAuthorities().map((authority) => authority.toString());
  const fetchPolicy = policyFetch({ clock: systemClock, port: HTTPS_PORT, authorities });
  const report = await checkDns(site, { view, fetchPolicy, nowMs: systemClock.now() });
  terminal.stdout(wanted.json ? reportAsJson(site, report) : formatReport(site, report, terminal));
  return exitCode(report.findings);
};

function parse(args: readonly string[]): Wanted | { readonly problem: string } | { readonly help: true } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const [verb = "help", given, ...more] = positionals;
    if (values.help || verb === "help") return { help: true };
    if (verb !== "check") return { problem: `"${verb}": unknown command` };
    if (given === undefined || more.length > 0) return { problem: "expected one DOMAIN" };
    const domain = accountDomain(given);
    if (domain === undefined) return { problem: `"${given}" is no domain name` };
    const { json = false, resolver = [], address = [], mx = [] } = values;
    const bad = resolver.find((one) => parseNameServer(one) === undefined);
    if (bad !== undefined) return { problem: `--resolver: no address: "${bad}"` };
    const addresses = address.map((one) => canonicalIp(one) ?? "");
    if (addresses.includes("")) return { problem: "--address: no IP address" };
    const exchangers = mx.map((one) => accountDomain(one) ?? "");
    if (exchangers.includes("")) return { problem: "--mx: no host name" };
    return { domain, json, resolvers: resolver, addresses, exchangers };
  } catch (error) {
    return { problem: (error as Error).message.split(". ")[0] ?? "" };
  }
}

/** Problems are certain; what is not known may be right. */
function exitCode(findings: readonly DnsFinding[]): number {
  if (findings.some(({ state }) => state === "wrong" || state === "missing")) return EXIT.problems;
  return findings.some(({ state }) => state === "unknown") ? EXIT.tryAgain : EXIT.done;
}
