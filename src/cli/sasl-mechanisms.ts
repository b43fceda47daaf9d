/** cli/sasl-mechanisms.ts: which SASL mechanisms a service announces over TLS, told from its configuration and user file. */
import { systemClock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { silentLog } from "../master/prove.ts";
import { announcedMechanisms } from "../sasl/announce.ts";
import { createPosternBackend } from "../sasl/postern-backend.ts";

/** None for Dovecot: only a connection to it would tell. */
export function saslMechanisms(snapshot: ConfigSnapshot, params: Parameters): readonly string[] {
  if (params.get("smtpd_sasl_type") === "dovecot") return [];
  const users = (): Uint8Array => {
    const image = snapshot.files.get(params.get("postern_user_file"));
    if (image && "bytes" in image) return image.bytes;
    throw new Error(image?.error ?? "not read");
  };
  const backend = createPosternBackend({ params, clock: systemClock, log: silentLog(), users });
  return announcedMechanisms(backend, params, { tls: true }).map(({ name }) => name);
}
