/** master/service.ts: wires one smtpd service of master.cf: its access lists, SASL backend, TLS, cleanup. */
import { resolve as resolvePath } from "node:path";
import { compileAccess } from "../access/compile.ts";
import { asksAuthentication } from "../access/validate-words.ts";
import { createAuthenticator } from "../authentication/create.ts";
import { createAuthors } from "../cleanup/authors.ts";
import type { Cleanup } from "../cleanup/cleanup.ts";
import { createContentChecks, createMilterChecks } from "../cleanup/content-checks.ts";
import { createCleanup } from "../cleanup/create.ts";
import { scopeOf, serviceRole } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { createSigner } from "../dkim/create.ts";
import type { Log } from "../log/log.ts";
import type { AddressProber } from "../mail/address-prober.ts";
import { createMilters } from "../milter/milters.ts";
import { createPolicyServers } from "../policy/client.ts";
import type { PolicyServers } from "../policy/policy.ts";
import { createBeforeQueueFilter } from "../proxy/create.ts";
import { createResolver } from "../rewrite/create.ts";
import { createLoginOwners } from "../rewrite/login-owners.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { announcedMechanisms } from "../sasl/announce.ts";
import type { AccountBackend } from "../sasl/postern-backend.ts";
import { createSaslBackend } from "../sasl/select.ts";
import { createCommandFilter } from "../smtpd/command-filter.ts";
import { hideInitialResponse } from "../smtpd/commands/auth.ts";
import { createSmtpd } from "../smtpd/create.ts";
import { createDiscardedByAddress } from "../smtpd/discarded-keywords.ts";
import { compileHeaderClients, type HeaderClients } from "../smtpd/header-clients.ts";
import type { Smtpd, SmtpdOptions } from "../smtpd/options.ts";
import { createPriorityLimit } from "../smtpd/priority-limit.ts";
import { createRejectFooter } from "../smtpd/reject-footer.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import { probeSender } from "../verify/create.ts";
import { mappingOf } from "./address-mapping.ts";
import { clientLists } from "./client-lists.ts";
import type { WorkerKit } from "./kit.ts";
import { watchedTls } from "./service-tls.ts";
import { createSessionNotices } from "./session-notices.ts";
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
  readonly prober: AddressProber;
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
  const { kit, snapshot } = input;
  // As in Postfix, where cleanup is a service of its own: the syslog_name of main.cf, not the one of this service.
  const log = kit.logFor(`${scopeOf(snapshot).get("syslog_name")}/cleanup`);
  const { options, problems, close } = wireService(input, (params, resolver) =>
    createCleanup({
      ...{ params, log, checks: createContentChecks(params, input.tables) },
      ...ownersOf(params, { tables: input.tables, resolver }),
      milterChecks: createMilterChecks(params, input.tables),
      signer: createSigner(params, { files: input.files, clock: kit.clock, log }),
      ...mappingOf(params, { tables: input.tables, resolver }),
      ...kit.queue,
    }),
  );
  return { smtpd: createSmtpd(options), problems, close };
}

/** Whose address is whose, and who looks whether the From of mail is the sender's. */
function ownersOf(params: Parameters, deps: { readonly tables: TableOpener; readonly resolver: AddressResolver }) {
  const owners = createLoginOwners({ params, ...deps });
  return { owners, authors: createAuthors({ params, owners, rewrite: (address) => deps.resolver.rewrite(address) }) };
}

/** The service without its sessions. */
export function wireService(
  input: ServiceInput,
  makeCleanup: (params: Parameters, resolver: AddressResolver) => Cleanup,
): WiredService {
  const { snapshot, service, tables, files, kit } = input;
  const params = scopeOf(snapshot, service);
  const syslogName = params.get("syslog_name");
  const log = kit.logFor(`${syslogName}/smtpd`);
  const resolver = createResolver(params, { tables, ownAddresses: kit.ownAddresses });
  const policyServers =
    input.policyServers ?? createPolicyServers({ params, clock: kit.clock, deadlines: kit.deadlines, log });
  const { policy, problems, lists } = compileAccess(params, {
    ...{ policy: policyServers, prober: input.prober, tables, resolver, log, dns: kit.dns, clock: kit.clock },
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
    cleanup: makeCleanup(params, resolver),
    filter: createBeforeQueueFilter(params, {
      deadlines: kit.deadlines,
      directory: resolvePath(params.get("queue_directory"), "queue"),
    }),
    ...sharedParts(kit, syslogName),
    notices: kit.maildrop ? createSessionNotices(params, { maildrop: kit.maildrop, clock: kit.clock, log }) : undefined,
    duplicates: duplicateGuard(params, kit),
    resolver,
    authenticator: createAuthenticator(params, {
      ...{ dns: kit.dns, clock: kit.clock, log, files, role: serviceRole(params) },
      asked: asksAuthentication(lists),
    }),
    milters: createMilters(params, { deadlines: kit.deadlines, tables }),
    // On a submission service nobody has to be let in for that: no other server calls there.
    probeSender: serviceRole(params) === "mx" ? probeSender(params, resolver) : undefined,
    dns: params.get("smtpd_peername_lookup") ? kit.dns : undefined,
    get tls() {
      return tls.current();
    },
    ...lookedUpParts(input, params, log),
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

/** undefined: there is none, and nothing is hashed. */
function duplicateGuard(params: Parameters, { claims }: ServiceInput["kit"]): SmtpdOptions["duplicates"] {
  const action = params.get("postern_duplicate_guard");
  if (action === "off" || claims === undefined) return undefined;
  return { action, claims, windowMs: params.get("postern_duplicate_window") };
}

/** What all services of a worker have in common. */
function sharedParts(kit: ServiceInput["kit"], syslogName: string) {
  return {
    explainer: kit.refusals,
    decisions: kit.decisions,
    nextQueueId: kit.nextQueueId,
    nextSessionId: kit.nextSessionId,
    freeBytes: kit.freeBytes,
    heldMail: kit.heldMail,
    log: (id: number) => kit.logFor(`${syslogName}/smtpd`, id),
    clock: kit.clock,
    deadlines: kit.deadlines,
  };
}

/** What depends on who the client is, by lists and tables. */
function lookedUpParts(input: ServiceInput, params: Parameters, log: Log) {
  const { tables, files, kit } = input;
  const { isUncounted, ...lists } = clientLists({ params, tables, files, log });
  return {
    ...lists,
    commandFilter: createCommandFilter(params, { tables, hide: hideInitialResponse }),
    headerClients: headerClients(input, params),
    discardedByAddress: createDiscardedByAddress(params, { tables, log }),
    priorityLimit: createPriorityLimit(params, { tables, log }),
    rejectFooter: createRejectFooter(params, { tables, log, clock: kit.clock }),
    flushSite: siteFlusher(params, { tables, log, ask: kit.flushSite }),
    counting: { anvil: kit.anvil, isExcepted: isUncounted },
  };
}

/** undefined if the parameter is not set: then the role of the service decides. */
function headerClients({ tables, files }: ServiceInput, params: Parameters): HeaderClients | undefined {
  const name = "local_header_rewrite_clients";
  if (params.source(name) === undefined) return undefined;
  return compileHeaderClients(params.get(name), {
    open: (ref) => tables.open(ref),
    mynetworks: compileAddressList(params.get("mynetworks"), { opener: tables, files }),
    certificates: params.get("relay_clientcerts").map((ref) => tables.open(ref)),
  });
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
