/** admin/account.ts: a user's mail account as the configuration describes it: where mail programs submit mail, how they log in,
 *  and where they read mail. The documents that programs ask for are made of it (thunderbird.ts, autodiscover.ts, …). */
import { domainToASCII } from "node:url";
import { parseInetService } from "../config/inet-name.ts";
import { scopeOf, serviceRole } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { MailStoreServer } from "../config/params/autoconfig.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { queryName } from "../dns/create.ts";
import { tlsLevelOf } from "../smtpd/settings.ts";

export interface AccountServer {
  readonly protocol: "smtp" | "imap" | "pop3";
  readonly host: string;
  readonly port: number;
  readonly security: "tls" | "starttls";
  /** Of SASL; empty: not known from here. */
  readonly mechanisms: readonly string[];
  /** The service of master.cf; undefined for servers that are not ours. */
  readonly service?: ServiceEntry;
}

export interface MailAccount {
  /** A-labels, lower case. */
  readonly domain: string;
  readonly provider: string;
  readonly login: "address" | "localpart";
  /** Submission, best first: TLS from the first byte before STARTTLS (RFC 8314 §3.3). */
  readonly outgoing: readonly AccountServer[];
  /** In the operator's order. */
  readonly incoming: readonly AccountServer[];
}

export interface AccountParts {
  /** SASL mechanisms that the service announces over TLS; empty: only the running server knows. */
  readonly mechanisms: (params: Parameters) => readonly string[];
  /** In the place of postern_autoconfig_imap and postern_autoconfig_pop3. */
  readonly stores?:
    | { readonly imap: readonly MailStoreServer[]; readonly pop3: readonly MailStoreServer[] }
    | undefined;
}

export interface ReadAccount {
  readonly account: MailAccount;
  /** Why services that look like submission are left out. */
  readonly problems: readonly Problem[];
}

/** The domain as DNS and documents have it; undefined for what is none. */
export function accountDomain(given: string): string | undefined {
  const name = queryName(domainToASCII(given.replace(/\.$/, "")));
  return name?.includes(".") ? name : undefined;
}

/** Throws ParameterError for values that `postern check` reports. `domain`: of accountDomain(). */
export function readAccount(snapshot: ConfigSnapshot, domain: string, parts: AccountParts): ReadAccount {
  const params = scopeOf(snapshot);
  const problems: Problem[] = [];
  const outgoing: AccountServer[] = [];
  for (const service of snapshot.services) {
    if (service.type !== "inet" || service.command !== "smtpd") continue;
    const found = submissionServer(snapshot, service, parts);
    if (found === undefined) continue;
    if ("problem" in found) problems.push({ severity: "warning", at: service.at, text: found.problem });
    else outgoing.push(found);
  }
  outgoing.sort((a, b) => rank(a) - rank(b));
  const stores = parts.stores ?? {
    imap: params.get("postern_autoconfig_imap"),
    pop3: params.get("postern_autoconfig_pop3"),
  };
  const incoming = [
    ...stores.imap.map((server) => storeServer("imap", server)),
    ...stores.pop3.map((server) => storeServer("pop3", server)),
  ];
  const provider = params.get("postern_autoconfig_name") || domain;
  return {
    account: { domain, provider, login: params.get("postern_autoconfig_login"), outgoing, incoming },
    problems,
  };
}

function rank({ security }: AccountServer): number {
  return security === "tls" ? 0 : 1;
}

/** undefined: nothing that users' programs connect to. */
function submissionServer(
  snapshot: ConfigSnapshot,
  service: ServiceEntry,
  parts: AccountParts,
): AccountServer | { readonly problem: string } | undefined {
  const params = scopeOf(snapshot, service);
  const where = parseInetService(service.name, servicesText(snapshot));
  if (serviceRole(params) !== "submission" || where === undefined || isLoopback(where.host)) return undefined;
  const leftOut = (why: string) => ({ problem: `service ${service.name} is left out of account documents: ${why}` });
  if (!params.get("smtpd_sasl_auth_enable")) return leftOut("it has no AUTH (smtpd_sasl_auth_enable = no)");
  const wrapper = params.get("smtpd_tls_wrappermode");
  // RFC 8314 §3: cleartext is obsolete. A document must not send passwords there.
  if (!wrapper && tlsLevelOf(params) === "none") return leftOut("it has no TLS (smtpd_tls_security_level)");
  const host = queryName(params.get("postern_autoconfig_host"));
  if (host === undefined) return leftOut("postern_autoconfig_host is no host name");
  const security = wrapper ? "tls" : "starttls";
  return { protocol: "smtp", host, port: where.port, security, mechanisms: parts.mechanisms(params), service };
}

/** A service that names a loopback address itself is for programs of this machine. */
function isLoopback(host: string | undefined): boolean {
  return host !== undefined && /^(?:127\.|::1$|localhost$)/i.test(host);
}

function storeServer(protocol: "imap" | "pop3", { host, port, implicitTls }: MailStoreServer): AccountServer {
  return { protocol, host, port, security: implicitTls ? "tls" : "starttls", mechanisms: [] };
}
