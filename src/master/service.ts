/** master/service.ts: wires one smtpd service of master.cf: its access lists, SASL backend, TLS, cleanup. */
import { compileAccess } from "../access/compile.ts";
import type { Cleanup } from "../cleanup/cleanup.ts";
import { createCleanup } from "../cleanup/create.ts";
import { scopeOf, serviceRole } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import type { Log } from "../log/log.ts";
import { createPolicyServers } from "../policy/client.ts";
import type { PolicyServers } from "../policy/policy.ts";
import { createResolver } from "../rewrite/create.ts";
import { announcedMechanisms } from "../sasl/announce.ts";
import type { AccountBackend } from "../sasl/postern-backend.ts";
import { createSaslBackend } from "../sasl/select.ts";
import type { ClientCounting } from "../smtpd/client-limits.ts";
import { createSmtpd } from "../smtpd/create.ts";
import type { ClientMatcher, Smtpd, SmtpdOptions } from "../smtpd/options.ts";
import { createRejectFooter } from "../smtpd/reject-footer.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import type { WorkerKit } from "./kit.ts";
import { watchedTls } from "./service-tls.ts";
import { siteFlusher } from "./site-flush.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";

export interface ServiceInput {
  readonly snapshot: ConfigSnapshot;
  readonly service: ServiceEntry;
  readonly tables: TableOpener;
  readonly files: SnapshotFiles;
  readonly kit: Omit<WorkerKit, "queue">;
  /** undefined: those that the configuration names. */
  readonly policyServers?: PolicyServers | undefined;
}

export interface BuiltService {
  readonly smtpd: Smtpd;
  readonly problems: readonly Problem[];
  close(): Promise<void>;
}

/** All that an SMTP service needs. */
export interface WiredService {
  readonly options: SmtpdOptions;
  readonly problems: readonly Problem[];
  close(): Promise<void>;
}

export function buildService(input: ServiceInput & { readonly kit: WorkerKit }): BuiltService {
  const { kit } = input;
  const { options, problems, close } = wireService(input, (params) =>
    createCleanup({ params, log: kit.logFor(`${params.get("syslog_name")}/cleanup`), ...kit.queue }),
  );
  return { smtpd: createSmtpd(options), problems, close };
}

/** The service without its sessions. */
export function wireService(input: ServiceInput, makeCleanup: (params: Parameters) => Cleanup): WiredService {
  const { snapshot, service, tables, files, kit } = input;
  const params = scopeOf(snapshot, service);
  const syslogName = params.get("syslog_name");
  const log = kit.logFor(`${syslogName}/smtpd`);
  const resolver = createResolver(params, { tables, ownAddresses: kit.ownAddresses });
  const policyServers =
    input.policyServers ?? createPolicyServers({ params, clock: kit.clock, deadlines: kit.deadlines, log });
  const { policy, problems } = compileAccess(params, {
    ...{ policy: policyServers, tables, resolver, log, dns: kit.dns, clock: kit.clock },
    mynetworks: compileAddressList(params.get("mynetworks"), { opener: tables, files }),
  });
  const sasl = params.get("smtpd_sasl_auth_enable") ? makeSasl(input, params, log) : undefined;
  const tls = watchedTls(params, { snapshot, files, ticketKeys: kit.ticketKeys, log });
  const options: WiredService["options"] = {
    params,
    serviceName: service.name,
    role: serviceRole(params),
    access: policy,
    sasl,
    announce: (backend, session) => announcedMechanisms(backend, params, session),
    cleanup: makeCleanup(params),
    explainer: kit.refusals,
    decisions: kit.decisions,
    nextQueueId: kit.nextQueueId,
    resolver,
    dns: params.get("smtpd_peername_lookup") ? kit.dns : undefined,
    get tls() {
      return tls.current();
    },
    freeBytes: kit.freeBytes,
    log: (id) => kit.logFor(`${syslogName}/smtpd`, id),
    nextSessionId: kit.nextSessionId,
    clock: kit.clock,
    deadlines: kit.deadlines,
    ...clientLists(input, params),
    rejectFooter: createRejectFooter(params, { tables, log, clock: kit.clock }),
    flushSite: siteFlusher(params, { tables, log, ask: kit.flushSite }),
    counting: { anvil: kit.anvil, isExcepted: limitExceptions(input, params, log) },
  };
  return {
    options,
    problems,
    async close() {
      await policyServers.close();
      await sasl?.close();
    },
  };
}

function makeSasl({ files, kit }: ServiceInput, params: Parameters, log: Log): AccountBackend {
  const path = params.get("postern_user_file");
  const backend = createSaslBackend({
    params,
    clock: kit.clock,
    log,
    users: () => files.read(path),
    hashes: kit.hashes,
  });
  files.onChange((changed) => {
    if (changed.has(path)) backend.usersChanged();
  });
  return backend;
}

/** Who is not counted. A list that fails excepts nobody. */
function limitExceptions({ tables, files }: ServiceInput, params: Parameters, log: Log): ClientCounting["isExcepted"] {
  const name = "smtpd_client_event_limit_exceptions";
  const parentMatches = params.get("parent_domain_matches_subdomains").includes(name);
  const list = compileAddressList(params.get(name), { opener: tables, files, parentMatches });
  const failed = (error: unknown) => {
    if (!(error instanceof TableError)) throw error;
    log.warning(`${name}: ${error.message}`);
    return false;
  };
  return (client) => {
    try {
      const answer = list.matches(client.address, client.name);
      return answer instanceof Promise ? answer.catch(failed) : answer;
    } catch (error) {
      return failed(error);
    }
  };
}

/** Lists that grant something to a client. */
const CLIENT_LISTS = [
  "debug_peer_list",
  "smtpd_authorized_xclient_hosts",
  "smtpd_authorized_xforward_hosts",
  "smtpd_forbid_bare_newline_exclusions",
  "smtpd_sasl_exceptions_networks",
] as const;

function clientLists(input: ServiceInput, params: Parameters) {
  return {
    bareNewlineExclusions: matcher(input, params, "smtpd_forbid_bare_newline_exclusions"),
    xclientHosts: matcher(input, params, "smtpd_authorized_xclient_hosts"),
    xforwardHosts: matcher(input, params, "smtpd_authorized_xforward_hosts"),
    debugPeers: matcher(input, params, "debug_peer_list"),
    saslExceptions: matcher(input, params, "smtpd_sasl_exceptions_networks"),
  };
}

/** A list that cannot be read synchronously, or at all, matches nobody: these lists only ever relax something. */
function matcher(
  { tables, files }: ServiceInput,
  params: Parameters,
  name: (typeof CLIENT_LISTS)[number],
): ClientMatcher {
  const items = params.get(name);
  if (items.length === 0) return () => false;
  const list = compileAddressList(items, { opener: tables, files });
  return (client) => {
    try {
      return list.matches(client.address, client.name) === true;
    } catch {
      return false; // a match would only switch a leniency on
    }
  };
}
