/** smtp/tls-prepare.ts: what TLS a target gets, before it is connected to: its policy, at the dane levels what DNSSEC says
 *  of it, and the context that goes with it. What cannot be known or kept defers the mail. */
import { X509Certificate } from "node:crypto";
import type { Dns, ValidatingDns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { TlsaRecord } from "../net/server-certificate.ts";
import type { TableOpener } from "../tables/table.ts";
import { findCredentials } from "./credentials.ts";
import { findDane } from "./dane.ts";
import type { MtaSts } from "./mta-sts.ts";
import { allowsHost } from "./mta-sts-policy.ts";
import { parseNextHops } from "./nexthop.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";
import { formatHost, type Target } from "./session.ts";
import type { Settings } from "./settings.ts";
import { optionalPolicy, requiredPolicy, type TlsDemand } from "./tls-demand.ts";
import type { TlsContext, TlsEngine } from "./tls-engine.ts";
import { ascii, findTlsPolicy, nexthopDomain, stsPolicy, type TlsPolicy } from "./tls-policy.ts";
import type { ReportedPolicy, TlsResultType, TlsTally } from "./tls-tally.ts";

export interface PrepareParts {
  readonly settings: Settings;
  readonly tables: TableOpener;
  readonly dns: Dns;
  readonly engine: TlsEngine;
  /** undefined: policies of domains are not looked for. */
  readonly sts: MtaSts | undefined;
  /** undefined: nothing is counted for reports. */
  readonly tally: Pick<TlsTally, "record"> | undefined;
  readonly sender: Address;
  /** What the message asks of TLS. */
  readonly demand: TlsDemand | undefined;
  readonly log: Log;
}

export interface PreparedTls {
  readonly policy: TlsPolicy;
  readonly context: TlsContext;
  readonly dane?: PreparedDane | undefined;
  /** What reports name as the policy; undefined: it is not reported. */
  readonly reported?: ReportedPolicy | undefined;
}

export interface PreparedDane {
  readonly records: readonly TlsaRecord[];
  /** Names that count for records of usage 2; the first is that of the handshake (RFC 7672 §3.2.2, §8.1). */
  readonly names: readonly [string, ...string[]];
  /** The list of exchangers is not signed: a good certificate proves less. */
  readonly half: boolean;
}

export type Prepared = PreparedTls | { readonly refused: Verdict } | undefined;

/** undefined: TLS is not used. Rejects TableError. */
export async function prepareTls(target: Target, parts: PrepareParts): Promise<Prepared> {
  const { settings, tables, log } = parts;
  const found = await findTlsPolicy(tables, settings.tls, target);
  if ("problem" in found) return misconfigured(found.problem, log);
  if (parts.demand === "optional" && !(await mayLogIn(target, parts))) {
    const { wrapper, may, mandatory } = settings.tls;
    const policy = optionalPolicy(found.policy, { wrapper, offer: wrapper ? mandatory : may });
    return prepared({ policy }, target, parts);
  }
  if (found.policy.published && !found.policy.otherwise)
    return prepared(asPublished(found.policy, target, parts), target, parts);
  const byDane = await withDane(found.policy, target, parts);
  const chosen =
    found.listed || "refused" in byDane || byDane.dane ? byDane : await withSts(byDane.policy, target, parts);
  const counted = found.listed || "refused" in chosen ? {} : { reported: unpublished(target, settings) };
  return prepared({ ...counted, ...chosen }, target, parts);
}

/** A password must not go to a server that has not proven who it is, whatever a message says. */
async function mayLogIn(target: Target, { tables, settings, sender }: PrepareParts): Promise<boolean> {
  return (await findCredentials(tables, settings, { target, sender })) !== undefined;
}

/** What was chosen, or what a message makes of it that requires TLS. */
function demanded(chosen: Chosen, target: Target, { demand, settings }: PrepareParts): Chosen {
  if (demand !== "required" || "refused" in chosen) return chosen;
  const proven = chosen.dane !== undefined && !chosen.dane.half;
  const policy = requiredPolicy(chosen.policy, target, { proven, mandatory: settings.tls.mandatory });
  return "kind" in policy ? { refused: policy } : { ...chosen, policy };
}

/** The context that goes with what was chosen. */
function prepared(before: Chosen, target: Target, parts: PrepareParts): Prepared {
  const chosen = demanded(before, target, parts);
  if ("refused" in chosen) return chosen;
  const { settings, engine, log, tally } = parts;
  const { policy, dane, reported } = chosen;
  if (settings.tls.wrapper && (policy.level === "none" || policy.level === "may")) {
    return misconfigured(`${settings.protocol}_tls_wrappermode requires level encrypt (or stronger)`, log);
  }
  // A UNIX-domain socket needs no encryption that is not demanded.
  const unneeded = policy.level === "may" && target.port === undefined;
  if (policy.level === "none" || unneeded) return undefined;
  const context = engine.context(policy, dane && { certificates: anchorsOf(dane, engine) });
  if ("problem" in context) return misconfigured(context.problem, log);
  return { policy, context, dane, reported: tally && reported };
}

function misconfigured(problem: string, log: Log): { readonly refused: Verdict } {
  log.warning(problem);
  return { refused: ownVerdict("4.7.5", "client TLS configuration problem") };
}

type Chosen = Pick<PreparedTls, "policy" | "dane" | "reported"> | { readonly refused: Verdict };

/** The policy, and at the dane levels what became of it (Postfix: dane_init). */
async function withDane(policy: TlsPolicy, target: Target, parts: PrepareParts): Promise<Chosen> {
  const { otherwise, level } = policy;
  if (otherwise === undefined) return { policy };
  const { settings, dns, log } = parts;
  if (target.port === undefined) {
    const text = `the "dane" security level is invalid for delivery via unix-domain sockets`;
    return misconfigured(`${target.nexthop}: ${text}`, log);
  }
  const unfit = unfitLookup(settings);
  if (unfit !== undefined || !isValidating(dns)) {
    const text = `${target.nexthop}: ${level} configured with ${unfit ?? DNSSEC_OFF}`;
    if (level === "dane-only") return misconfigured(text, log);
    log.warning(text);
    return { policy: otherwise.may };
  }
  const { insecureMx } = settings.tls.dane;
  const mxMustBeSecure = level === "dane-only" || insecureMx === "may";
  const answer = await findDane(target, { dns, mxMustBeSecure, force: settings.tls.dane.force });
  switch (answer.kind) {
    case "failed":
      recordUnmet(parts, tlsaPolicy([], target, settings), { target, type: "dnssec-invalid" });
      return { refused: ownVerdict("4.7.5", `TLSA lookup error for ${target.host}:${target.port}`) };
    case "none":
      return level === "dane-only" ? { refused: ownVerdict("4.7.5", answer.why) } : { policy: otherwise.may };
    case "unusable":
      if (level === "dane-only") return { refused: ownVerdict("4.7.5", "TLSA records unusable") };
      return { policy: otherwise.encrypt };
    default: {
      if (!answer.mxSecure && insecureMx === "encrypt") return { policy: otherwise.encrypt };
      const { records, base, mxSecure } = answer;
      const dane = { records, names: namesOf(base, target), half: !mxSecure };
      return { policy, dane, reported: tlsaPolicy(records, target, settings) };
    }
  }
}

/** An entry that a daemon made of the domain's own policy (Postfix 3.10, smtp_tls_enforce_sts_mx_patterns). */
function asPublished(policy: TlsPolicy, target: Target, parts: PrepareParts): Chosen {
  const { published } = policy;
  const domain = published?.domain ?? policyDomain(target, parts.settings.protocol);
  if (published === undefined || domain === undefined) return { policy };
  const { type, strings, mxHosts, failure } = published;
  const reported: ReportedPolicy = { type, domain, strings, mxHosts };
  if (failure) recordUnmet(parts, reported, { target, type: failure });
  const enforced = parts.settings.tls.enforceStsMx && type === "sts" && policy.level === "secure" && mxHosts.length > 0;
  if (!enforced) return { policy, reported };
  if (!allowsHost({ mx: mxHosts }, ascii(target.host))) return { refused: unlisted(target, reported, parts) };
  return { policy: { ...stsPolicy(policy, "enforce", policy.offer), anchorFiles: policy.anchorFiles }, reported };
}

function unlisted(target: Target, reported: ReportedPolicy, parts: PrepareParts): Verdict {
  recordUnmet(parts, reported, { target, type: "validation-failure" });
  return ownVerdict("4.7.5", `host ${formatHost(target)} is not in the MTA-STS policy of ${reported.domain}`);
}

/** The policy, or what the next hop's own says (RFC 8461 §5): only of domains, and only where it asks for more. */
async function withSts(policy: TlsPolicy, target: Target, parts: PrepareParts): Promise<Chosen> {
  const { sts } = parts;
  const domain = sts && stsDomain(policy, target, parts.settings);
  if (sts === undefined || domain === undefined) return { policy };
  const answer = await sts.policyOf(domain);
  if ("failure" in answer) {
    if (answer.failure) recordUnmet(parts, { ...EMPTY, type: "sts", domain }, { target, type: answer.failure });
    return { policy };
  }
  if (answer.policy.mode === "none") return { policy };
  const { mode: said, mx, maxAgeS } = answer.policy;
  const mode = parts.demand === "required" ? "enforce" : said;
  const lines = ["version: STSv1", `mode: ${said}`, ...mx.map((name) => `mx: ${name}`), `max_age: ${maxAgeS}`];
  const reported: ReportedPolicy = { type: "sts", domain, strings: lines, mxHosts: mx };
  if (mode === "enforce" && !allowsHost(answer.policy, ascii(target.host))) {
    return { refused: unlisted(target, reported, parts) };
  }
  return { policy: stsPolicy(policy, mode, parts.settings.tls.mandatory), reported };
}

function stsDomain(policy: TlsPolicy, target: Target, { protocol }: Settings): string | undefined {
  if (policy.level !== "may" && policy.level !== "encrypt") return undefined;
  return policyDomain(target, protocol);
}

/** The next hop if it is a domain, in A-labels. */
function policyDomain(target: Target, protocol: Settings["protocol"]): string | undefined {
  if (protocol !== "smtp") return undefined;
  const [hop] = parseNextHops(target.nexthop, protocol);
  return hop?.kind === "domain" ? ascii(hop.name).toLowerCase().replace(/\.$/, "") : undefined;
}

const EMPTY = { strings: [], mxHosts: [] } as const;

function unpublished(target: Target, { protocol }: Settings): ReportedPolicy | undefined {
  const domain = policyDomain(target, protocol);
  return domain === undefined ? undefined : { ...EMPTY, type: "no-policy-found", domain };
}

function tlsaPolicy(
  records: readonly TlsaRecord[],
  target: Target,
  { protocol }: Settings,
): ReportedPolicy | undefined {
  const domain = policyDomain(target, protocol);
  if (domain === undefined) return undefined;
  const strings = records.map(({ usage, selector, matchingType, association }) => {
    return `${usage} ${selector} ${matchingType} ${Buffer.from(association).toString("hex")}`;
  });
  return { type: "tlsa", domain, strings, mxHosts: [target.host] };
}

/** Counts what ended before there was a connection. */
function recordUnmet(
  { tally }: PrepareParts,
  policy: ReportedPolicy | undefined,
  { target, type }: { target: Target; type: TlsResultType },
): void {
  if (policy) tally?.record(policy, { type, host: target.host, address: "", ownAddress: "", reason: "" });
}

const DNSSEC_OFF = "dnssec lookups disabled";

/** Lookups whose answers prove nothing. */
function unfitLookup({ tls, lookup, protocol }: Settings): string | undefined {
  if (!tls.dane.dnssec || !lookup.methods.includes("dns")) return DNSSEC_OFF;
  return protocol === "smtp" && lookup.ignoreMxError ? "MX lookup errors ignored" : undefined;
}

function isValidating(dns: Dns): dns is ValidatingDns {
  return "tlsa" in dns;
}

/** The name of the records, the next hop, and what the next hop is an alias of (RFC 7672 §3.2.2). */
function namesOf(base: string, target: Target): PreparedDane["names"] {
  const mx = target.origin?.mx;
  return mx ? [base, nexthopDomain(target), mx.canonical] : [base];
}

/** The same demands with a context that trusts the anchors seen since it was made; undefined: there are no new ones. */
export function withLearntAnchors(tls: PreparedTls | undefined, engine: TlsEngine): PreparedTls | undefined {
  if (tls?.dane === undefined) return undefined;
  const context = engine.context(tls.policy, { certificates: anchorsOf(tls.dane, engine) });
  return "problem" in context || context === tls.context ? undefined : { ...tls, context };
}

/** Trust anchors whose certificates are known: those that stand in the records, and those seen in a chain before. */
function anchorsOf({ records }: PreparedDane, engine: TlsEngine): X509Certificate[] {
  const whole = records.filter((r) => r.usage === 2 && r.selector === 0 && r.matchingType === 0);
  return [...whole.map((r) => new X509Certificate(r.association)), ...engine.anchors(records)];
}
