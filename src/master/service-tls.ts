/** master/service-tls.ts: the TLS context of one smtpd service from its parameters and the snapshot's file images. */
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem, SourceRef } from "../config/snapshot.ts";
import type { Log } from "../log/log.ts";
import type { TicketKeys } from "../net/ticket-keys.ts";
import { createServerTls, type ServerTls } from "../net/tls-context.ts";
import { serverTlsInput } from "../smtpd/create.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import { type TlsImages, tlsReaders } from "./tls-readers.ts";

export interface ServiceTlsInput extends TlsImages {
  readonly ticketKeys?: Buffer | undefined;
}

/** The context, a problem in words, or undefined where the service speaks no TLS. */
function serviceTls(input: ServiceTlsInput): ServerTls | { readonly problem: string } | undefined {
  const wanted = serverTlsInput(input.params, { ticketKeys: input.ticketKeys, ...tlsReaders(input) });
  return wanted && createServerTls(wanted);
}

/** Problems of a service's TLS settings and files, at the service's line. */
export function checkTls(params: Parameters, snapshot: ConfigSnapshot, at: SourceRef): readonly Problem[] {
  const { configDirectory, files } = snapshot;
  let unreadable = false;
  const image = (path: string) => {
    const found = files.get(path);
    unreadable ||= found !== undefined && "error" in found;
    return found;
  };
  const made = serviceTls({ params, configDirectory, image, paths: () => files.keys() });
  const found = made ? checkRequired(params, at) : [];
  // A file that cannot be read was reported with the line that names it.
  if (!made || !("problem" in made) || unreadable) return found;
  const hint = made.problem.includes("smtpd_tls_chain_files")
    ? "set smtpd_tls_chain_files to a file with key and certificate"
    : undefined;
  return [...found, { severity: "error", at, text: `TLS: ${made.problem}`, hint }];
}

/** Postfix's warning, which it logs at each start. */
function checkRequired(params: Parameters, at: SourceRef): readonly Problem[] {
  const input = serverTlsInput(params, { read: () => ({ error: "" }) });
  const mandatory = params.get("smtpd_tls_wrappermode") || params.get("smtpd_tls_security_level") === "encrypt";
  if (!input || !params.get("smtpd_tls_req_ccert") || mandatory || params.get("smtpd_enforce_tls")) return [];
  const text = "Can't require client certs unless TLS is required";
  return [
    {
      severity: "warning",
      at: params.source("smtpd_tls_req_ccert") ?? at,
      text,
      hint: "smtpd_tls_req_ccert has no effect without smtpd_tls_security_level = encrypt",
    },
  ];
}

export interface WatchedTlsParts {
  readonly snapshot: ConfigSnapshot;
  readonly files: SnapshotFiles;
  readonly ticketKeys: TicketKeys;
  readonly log: Log;
}

/** The service's TLS context, made anew when one of its files was replaced or the ticket keys have changed; a bad replacement
 *  keeps the old one. */
export function watchedTls(params: Parameters, parts: WatchedTlsParts): { current(): ServerTls | undefined } {
  const { snapshot, files, ticketKeys, log } = parts;
  const used = new Set<string>();
  const image = (path: string) => {
    used.add(path);
    return files.image(path);
  };
  let current: ServerTls | undefined;
  let keys: Buffer | undefined;
  const load = () => {
    const { configDirectory } = snapshot;
    keys = ticketKeys.current();
    const made = serviceTls({ params, configDirectory, image, paths: () => files.paths(), ticketKeys: keys });
    if (made && "problem" in made) log.warning(`${made.problem}: the TLS settings before it stay`);
    else current = made;
  };
  load();
  files.onChange((changed) => {
    if ([...changed].some((path) => used.has(path))) load();
  });
  return {
    current() {
      if (current && ticketKeys.current() !== keys) load();
      return current;
    },
  };
}
