/** sasl/select.ts: the password backend that smtpd_sasl_type asks for. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import type { Log } from "../log/log.ts";
import { createDovecotBackend, parseDovecotPath } from "./dovecot-backend.ts";
import type { HashPool } from "./hash-pool.ts";
import { type AccountBackend, createPosternBackend } from "./postern-backend.ts";

export interface SaslBackendOptions {
  readonly params: Parameters;
  readonly clock: Clock;
  readonly log: Log;
  /** Current image of $postern_user_file; throws while there is none. Not called for Dovecot. */
  readonly users: () => Uint8Array;
  readonly hashes?: HashPool | undefined;
}

/** Throws ParameterError for a bad smtpd_sasl_path. */
export function createSaslBackend(options: SaslBackendOptions): AccountBackend {
  const { params, clock, log } = options;
  if (params.get("smtpd_sasl_type") !== "dovecot") return createPosternBackend(options);
  const backend = createDovecotBackend({
    path: params.get("smtpd_sasl_path"),
    queueDirectory: params.text("queue_directory"),
    service: params.get("smtpd_sasl_service"),
    clock,
    log,
  });
  return { ...backend, usersChanged: () => undefined };
}

/** What `postern check` says of a scope's SASL settings; nothing while SASL is off. */
export function checkSasl(params: Parameters): Problem[] {
  if (!params.get("smtpd_sasl_auth_enable")) return [];
  const type = params.get("smtpd_sasl_type");
  const path = params.get("smtpd_sasl_path");
  if (type !== "dovecot" || parseDovecotPath(path, "/") !== undefined) return [];
  return [
    {
      severity: "error",
      at: params.source("smtpd_sasl_path"),
      text: `smtpd_sasl_path = ${path} names no socket`,
      hint: "specify inet:host:port, unix:path or a path relative to $queue_directory",
    },
  ];
}
