/** master/prove.ts: the proof of every smtpd service of a snapshot (design §8). Reads the snapshot only: no server is asked. */
import { compileAccess } from "../access/compile.ts";
import { whereOf } from "../access/list-compiler.ts";
import { systemClock } from "../base/clock.ts";
import { ParameterError } from "../config/declare.ts";
import { tlsFileCandidates } from "../config/file-references.ts";
import { parseInetService } from "../config/inet-name.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { Log } from "../log/log.ts";
import { proofOf, type ServiceProof } from "../proof/service.ts";
import { createResolver } from "../rewrite/create.ts";
import { createTableOpener } from "../tables/open.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import { SnapshotFiles } from "./snapshot-files.ts";
import { dependsOnStress, underStress } from "./stressed-service.ts";
import { tableSettings } from "./table-settings.ts";

/** Over tables of its own. Throws ParameterError for a bad import_environment. */
export async function proveSnapshot(snapshot: ConfigSnapshot): Promise<readonly ServiceProof[]> {
  const tables = openSnapshotTables(snapshot, silentLog());
  try {
    return await proveServices(snapshot, tables);
  } finally {
    await tables.close?.();
  }
}

/** Services whose parameters cannot be read are left out: check has reported them. */
export async function proveServices(snapshot: ConfigSnapshot, tables: TableOpener): Promise<readonly ServiceProof[]> {
  const proofs: ServiceProof[] = [];
  for (const service of snapshot.services) {
    if (service.type !== "inet" || !["smtpd", "postscreen"].includes(service.command)) continue;
    const proof = await proveReadable({ snapshot, service, tables });
    if (proof !== undefined) proofs.push(await withStress(proof, { snapshot, service, tables }));
  }
  return proofs;
}

/** The tables of a snapshot; `log` hears what is wrong with them. Throws ParameterError for a bad import_environment. */
export function openSnapshotTables(snapshot: ConfigSnapshot, log: Log): TableOpener {
  const files = new SnapshotFiles(snapshot.files);
  return createTableOpener({ files, log, ...tableSettings(snapshot) });
}

/** For those to whom check has said it already. */
export function silentLog(): Log {
  return new Log({ sink: () => undefined, now: systemClock.now, tag: "verify", id: 0 });
}

interface Scope {
  readonly snapshot: ConfigSnapshot;
  readonly service: ServiceEntry;
  readonly tables: TableOpener;
}

/** The proof, with what is wrong only while all sessions are in use: strangers can bring that about. */
async function withStress(calm: ServiceProof, { snapshot, service, tables }: Scope): Promise<ServiceProof> {
  const capped = dependsOnStress(snapshot, service) ? underStress(service) : undefined;
  const stressed = capped && (await proveReadable({ snapshot, service: capped, tables }));
  if (stressed === undefined) return calm;
  const known = new Set(calm.problems.map(({ text }) => text));
  const more = stressed.problems.filter(({ text }) => !known.has(text));
  const told = more.map((problem) => ({ ...problem, text: `under stress: ${problem.text}` }));
  return { ...calm, problems: [...calm.problems, ...told] };
}

async function proveReadable(scope: Scope): Promise<ServiceProof | undefined> {
  try {
    return await prove(scope);
  } catch (error) {
    if (error instanceof ParameterError) return undefined;
    throw error;
  }
}

async function prove({ snapshot, service, tables }: Scope): Promise<ServiceProof> {
  const params = scopeOf(snapshot, service);
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const mynetworks = compileAddressList(params.get("mynetworks"), { opener: tables });
  return proofOf({
    access: compileAccess(params, { tables, resolver, log: silentLog(), mynetworks }),
    mynetworks,
    placeOf: (parameter) => whereOf(params.source(parameter)),
    caCertificates: caCertificates(params, snapshot),
    name: service.name,
    port: parseInetService(service.name, servicesText(snapshot))?.port,
    at: service.at,
  });
}

/** How many certificates stand in smtpd_tls_CAfile and in the files of smtpd_tls_CApath. */
function caCertificates(params: Parameters, snapshot: ConfigSnapshot): number {
  const paths = [params.text("smtpd_tls_CAfile"), params.text("smtpd_tls_CApath")].filter((path) => path !== "");
  const wanted = paths.flatMap((path) => tlsFileCandidates(params, path, snapshot.configDirectory));
  let count = 0;
  for (const [path, image] of snapshot.files) {
    const directory = path.slice(0, path.lastIndexOf("/"));
    if ("error" in image || !(wanted.includes(path) || wanted.includes(directory))) continue;
    count += Buffer.from(image.bytes).toString("latin1").split("-----BEGIN CERTIFICATE-----").length - 1;
  }
  return count;
}
