/** master/check.ts: everything that can be found wrong with a configuration without starting it; used by `postern check`,
 *  by start and by reload, so that none of them can be more lenient than the others. */

import { compileAccess } from "../access/compile.ts";
import { checkSnapshot } from "../config/check.ts";
import { ParameterError } from "../config/declare.ts";
import { loadSnapshot, scopeOf, serviceRole } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { checkSigningFile, hasKeyOf } from "../dkim/check-keys.ts";
import { ownNetworks } from "../net/interfaces.ts";
import type { ServiceProof } from "../proof/service.ts";
import { createResolver } from "../rewrite/create.ts";
import { checkUsers } from "../sasl/check-users.ts";
import { checkSasl } from "../sasl/select.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import { accountNamed, readAccountFiles } from "./accounts.ts";
import { checkReports } from "./bounce-templates.ts";
import { checkContent, checkOutgoingContent } from "./check-content.ts";
import { checkIdentity } from "./check-identity.ts";
import { checkLimits } from "./check-limits.ts";
import { checkLocal } from "./check-local.ts";
import { checkMachine } from "./check-machine.ts";
import { checkRoleMailboxes } from "./check-role-mailboxes.ts";
import { checkSubmission } from "./check-submission.ts";
import { TableFindings } from "./check-tables.ts";
import { listenerSpecs, SMTPD_PROGRAMS } from "./listeners.ts";
import { pipeSpecsHere } from "./pipe-specs.ts";
import { openSnapshotTables, proveServices, silentLog } from "./prove.ts";
import { checkTls } from "./service-tls.ts";
import { spawnSpecsHere } from "./spawn-specs.ts";
import { checkTransportTls } from "./transport-tls.ts";

export interface CheckOptions {
  readonly configDirectory: string;
  readonly hostname: string;
  readonly mailVersion: string;
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly listDirectory?: (path: string) => Promise<readonly string[]>;
  readonly modifiedMs?: (path: string) => Promise<number>;
}

/** All problems, sorted by file and line. */
export async function checkConfiguration(options: CheckOptions): Promise<readonly Problem[]> {
  const { snapshot, problems } = await loadSnapshot({ ...options, generation: 0, interfaces: ownNetworks() });
  return inOrder([...problems, ...(snapshot ? [...checkHere(snapshot), ...(await checkLoaded(snapshot))] : [])]);
}

/** On this machine, which need not be the one that a changed configuration is for: start and reload do not ask. */
function checkHere(snapshot: ConfigSnapshot): readonly Problem[] {
  return readable(() => checkMachine(scopeOf(snapshot), snapshot.files, process.getuid?.() ?? 0)) ?? [];
}

/** Problems of a snapshot that could be read. */
export async function checkLoaded(snapshot: ConfigSnapshot): Promise<readonly Problem[]> {
  const found = [...checkSnapshot(snapshot)];
  found.push(...listenerSpecs(snapshot, { servicesText: servicesText(snapshot), ipv6: true }).problems);
  found.push(...spawnSpecsHere(snapshot, { uid: 0, ipv6: true }).problems); // who will start it is not known yet
  found.push(...pipeSpecsHere(snapshot, { uid: 0 }).problems);
  found.push(...checkLimits(snapshot), ...checkReports(snapshot), ...(await checkServices(snapshot)));
  return inOrder(found);
}

/** All smtpd services, the TLS of the transports, and the proof, over tables that are opened once. */
async function checkServices(snapshot: ConfigSnapshot): Promise<readonly Problem[]> {
  const findings = new TableFindings();
  const tables = readable(() => openSnapshotTables(snapshot, findings.log));
  if (tables === undefined) return [];
  try {
    const services = snapshot.services.filter(({ type, command }) => type === "inet" && SMTPD_PROGRAMS.has(command));
    const found = services.flatMap((service) => readable(() => checkService(snapshot, service, tables)) ?? []);
    found.push(...(readable(() => checkTransportTls(snapshot, tables)) ?? []));
    found.push(...(readable(() => checkOutgoingContent(snapshot, tables)) ?? []));
    const proofs = await proveServices(snapshot, tables);
    const local = checkLocal(snapshot, tables, accountNamed(readAccountFiles(), scopeOf(snapshot).get("mail_owner")));
    found.push(...(await checkRoleMailboxes(scopeOf(snapshot), tables).catch(unreadable)));
    return [...found, ...local, ...findings.problems(snapshot), ...proofs.flatMap(unreported)];
  } finally {
    await tables.close?.();
  }
}

/** What lists without any guard mean is said once. */
function unreported({ problems, unguarded }: ServiceProof): readonly Problem[] {
  return unguarded
    ? problems.filter(({ text }) => !text.startsWith("open relay: smtpd_relay_restrictions "))
    : problems;
}

/** As readable() has it. */
function unreadable(error: unknown): readonly Problem[] {
  if (error instanceof ParameterError) return [];
  throw error;
}

/** A value that cannot be parsed was reported by checkSnapshot(); what does not need it is checked all the same. */
function readable<T>(check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    if (error instanceof ParameterError) return undefined;
    throw error;
  }
}

const ADDRESS_LISTS = [
  "mynetworks",
  "debug_peer_list",
  "smtpd_sasl_exceptions_networks",
  "smtpd_client_event_limit_exceptions",
  "smtpd_forbid_bare_newline_exclusions",
  "postern_authentication_trusted_clients",
  "postern_submission_extension_clients",
  "smtpd_authorized_xclient_hosts",
  "smtpd_authorized_xforward_hosts",
] as const;
/** Whose default is mynetworks: nothing is reported twice. */
const LIKE_MYNETWORKS: ReadonlySet<string> = new Set([
  "smtpd_client_event_limit_exceptions",
  "smtpd_forbid_bare_newline_exclusions",
  "postern_authentication_trusted_clients",
]);

function checkService(snapshot: ConfigSnapshot, service: ServiceEntry, tables: TableOpener): readonly Problem[] {
  const params = scopeOf(snapshot, service);
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const mynetworks = compileAddressList(params.get("mynetworks"), { opener: tables });
  const { problems } = compileAccess(params, { tables, resolver, log: silentLog(), mynetworks });
  const networks = ADDRESS_LISTS.flatMap((name) => {
    if (LIKE_MYNETWORKS.has(name) && !params.source(name)) return [];
    const list = compileAddressList(params.get(name), { opener: tables });
    return list.problems.map(
      (text): Problem => ({ severity: "error", at: params.source(name), text: `${name}: ${text}` }),
    );
  });
  const checked = [...networks, ...checkContent(params, tables), ...checkSigning(params, snapshot)];
  checked.push(...checkIdentity(params, tables), ...checkSubmission(params, tables));
  const found = [...checked, ...problems, ...checkTls(params, snapshot, service.at), ...checkSasl(params)];
  if (!params.get("smtpd_sasl_auth_enable") || params.get("smtpd_sasl_type") === "dovecot") return found;
  return [...found, ...checkUserFile(snapshot, params.get("postern_user_file"), service)];
}

function checkSigning(params: Parameters, snapshot: ConfigSnapshot): readonly Problem[] {
  const read = (path: string) => {
    const image = snapshot.files.get(path);
    return image && "bytes" in image ? image.bytes : undefined;
  };
  return [
    ...checkSigningFile(params.get("postern_dkim_signing_file"), read),
    ...checkSealing(params, read),
    ...checkVerifying(params),
  ];
}

/** What takes mail from its verification, or changes it before. */
function checkVerifying(params: Parameters): readonly Problem[] {
  const name = "postern_authentication_results";
  if (!params.get(name) || serviceRole(params) !== "mx") return [];
  const said = (text: string, hint: string): Problem => ({
    ...{ severity: "warning", at: params.source(name), text: `${name}: ${text}`, hint },
  });
  const filter = params.get("smtpd_proxy_filter") !== "";
  const taken = "mail that smtpd_proxy_filter takes gets no results";
  const converted = "force_mime_input_conversion breaks signatures of 8-bit mail before they are verified";
  return [
    ...(filter ? [said(taken, "content_filter and smtpd_milters take mail behind it")] : []),
    ...(params.get("force_mime_input_conversion") ? [said(converted, "set it for submission services only")] : []),
  ];
}

/** ARC seals are left out without a key. */
function checkSealing(params: Parameters, read: (path: string) => Uint8Array | undefined): readonly Problem[] {
  if (!params.get("postern_arc_seal")) return [];
  const path = params.get("postern_dkim_signing_file");
  const domain = params.get("postern_arc_seal_domain");
  const bytes = read(path);
  // One that cannot be read was reported with the line that names it.
  if (path !== "" && (bytes === undefined || hasKeyOf(domain, bytes))) return [];
  const why = path === "" ? "postern_dkim_signing_file is empty" : `${path} has no key that signs for ${domain}`;
  const text = `postern_arc_seal: nothing is sealed: ${why}`;
  return [
    { severity: "warning", at: params.source("postern_arc_seal"), text, hint: `postern dkim generate ${domain}` },
  ];
}

function checkUserFile(snapshot: ConfigSnapshot, path: string, service: ServiceEntry): readonly Problem[] {
  const image = snapshot.files.get(path);
  // A file that cannot be read was reported with the line that names it.
  if (image && "error" in image) return [];
  if (image) return checkUsers(Buffer.from(image.bytes).toString("utf8"), path);
  const text = `no login is possible: the user file ${path} cannot be read, every AUTH gets 454`;
  return [{ severity: "warning", at: service.at, text, hint: "add the first user: postern user add LOGIN" }];
}

/** By file, then line; the same finding of several services once. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const unique = new Map(problems.map((p) => [`${p.at?.file}:${p.at?.line}:${p.text}`, p]));
  return [...unique.values()].sort(
    (a, b) => (a.at?.file ?? "").localeCompare(b.at?.file ?? "") || (a.at?.line ?? 0) - (b.at?.line ?? 0),
  );
}
