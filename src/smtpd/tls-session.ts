/** smtpd/tls-session.ts: the step from clear text to TLS, for STARTTLS and wrapper mode, and where its files come from. */
import type { Parameters } from "../config/parameters.ts";
import type { ServerTlsInput } from "../net/tls-context.ts";
import type { Session } from "./session.ts";
import { tlsLevelOf } from "./settings.ts";

/** Does the handshake. False: it failed and is logged; the session is over. */
export async function secure(session: Session): Promise<boolean> {
  const { settings, connection, log } = session;
  const context = session.tlsContext;
  if (context === undefined) {
    log.warning(`${session.peer}: TLS is not available; closing the connection`);
    return false;
  }
  const failure = await connection.upgrade(context, settings.tlsTimeoutMs);
  if (failure !== undefined) {
    log.info(`SSL_accept error from ${session.peer}: ${session.printable(failure)}`);
    if (await session.limits.newTls(session)) return false;
    log.info(`NOQUEUE: lost connection after ${session.where} from ${session.peer}`);
    return false;
  }
  session.resetForTls();
  const tls = session.tls;
  if (settings.tlsLogLevel >= 1 && tls !== undefined) {
    const name = tls.serverName === undefined ? "" : ` to ${session.printable(tls.serverName)}`;
    const reused = tls.reused ? "reused" : "established";
    log.info(
      `Anonymous TLS connection ${reused} from ${session.peer}${name}: ${tls.protocol} with cipher ${tls.cipher} (${tls.bits}/${tls.bits} bits)`,
    );
  }
  const tooMany = tls?.reused ? undefined : await session.limits.newTls(session);
  if (tooMany) session.send(tooMany);
  return tooMany === undefined;
}

/** What createServerTls() needs, from a service's parameters. undefined: the service has no TLS. */
export function serverTlsInput(
  params: Parameters,
  rest: Pick<ServerTlsInput, "read" | "ticketKeys">,
): ServerTlsInput | undefined {
  const wrapper = params.get("smtpd_tls_wrappermode");
  const level = wrapper ? "encrypt" : tlsLevelOf(params);
  if (level === "none") return undefined;
  const mandatory = level === "encrypt";
  const pairs = [
    { certFile: params.get("smtpd_tls_cert_file"), keyFile: params.get("smtpd_tls_key_file") },
    { certFile: params.get("smtpd_tls_eccert_file"), keyFile: params.get("smtpd_tls_eckey_file") },
  ].filter((pair) => pair.certFile !== "" && pair.certFile !== "none");
  return {
    chainFiles: params.get("smtpd_tls_chain_files"),
    pairs,
    protocols: params.get(mandatory ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols"),
    grade: params.get(mandatory ? "smtpd_tls_mandatory_ciphers" : "smtpd_tls_ciphers"),
    excludeCiphers: [
      ...params.get("smtpd_tls_exclude_ciphers"),
      ...(mandatory ? params.get("smtpd_tls_mandatory_exclude_ciphers") : []),
    ],
    preferServerOrder: params.get("tls_preempt_cipherlist"),
    ...rest,
  };
}
