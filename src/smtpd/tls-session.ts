/** smtpd/tls-session.ts: the step from clear text to TLS, for STARTTLS and wrapper mode, and where its files come from. */
import type { Parameters } from "../config/parameters.ts";
import type { TlsSession } from "../mail/client.ts";
import { reply } from "../mail/reply.ts";
import type { ServerTlsInput } from "../net/tls-context.ts";
import { clientFields, sessionFields } from "./log-fields.ts";
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
    logFailure(session, failure);
    if (await session.limits.newTls(session)) return false;
    log.info(`NOQUEUE: lost connection after ${session.where} from ${session.peer}`, () =>
      sessionFields(session, "lost_connection"),
    );
    return false;
  }
  session.resetForTls();
  const tls = session.tls;
  if (tls !== undefined) logTls(session, tls);
  const tooMany = tls?.reused ? undefined : await session.limits.newTls(session);
  if (tooMany) session.send(tooMany);
  return tooMany === undefined && (await checkCertificate(session));
}

/** The reason, or -1 with what the TLS library says on lines of their own. */
function logFailure(session: Session, failure: string): void {
  const problems = [...failure.matchAll(/(error:[0-9A-F]{8}:[^:\n]*):[^:\n]*(:[^\n]*)/g)];
  const texts = problems.map(([, what, where]) => session.printable(`${what}:${where}`));
  const reason = session.printable(failure);
  session.log.info(`SSL_accept error from ${session.peer}: ${texts.length > 0 ? "-1" : reason}`, () => ({
    ...clientFields(session, "tls_failed"),
    reason: texts[0] ?? reason,
  }));
  for (const text of texts) session.log.warning(`TLS library problem: ${text}`);
}

/** `Trusted TLS connection established from …`, as Postfix words it. */
function logTls(session: Session, tls: TlsSession): void {
  const { settings, log } = session;
  const { peer } = tls;
  if (settings.tlsLogLevel >= 2 && peer !== undefined) {
    const names = `subject_CN=${session.printable(peer.subject)}, issuer=${session.printable(peer.issuer)}`;
    const prints = `fingerprint=${peer.certFingerprint}, pkey_fingerprint=${peer.publicKeyFingerprint}`;
    log.info(`${session.peer}: ${names}, ${prints}`);
  }
  if (peer?.distrust !== undefined && (settings.tlsLogLevel >= 2 || settings.tlsCertificateRequired)) {
    log.info(`certificate verification failed for ${session.peer}: ${session.printable(peer.distrust)}`);
  }
  if (settings.tlsLogLevel < 1) return;
  const trust = peer === undefined ? "Anonymous" : peer.trusted ? "Trusted" : "Untrusted";
  const name = tls.serverName === undefined ? "" : ` to ${session.printable(tls.serverName)}`;
  const what = `${trust} TLS connection ${tls.reused ? "reused" : "established"} from ${session.peer}${name}`;
  log.info(`${what}: ${tls.protocol} with cipher ${tls.cipher} (${tls.bits}/${tls.bits} bits)`, () => ({
    ...clientFields(session, "tls"),
    trust: trust.toLowerCase(),
    protocol: tls.protocol,
    cipher: tls.cipher,
    bits: tls.bits,
  }));
}

/** smtpd_tls_req_ccert. As Postfix the refusal answers the client's next command: before it, clients read nothing. In
 *  wrapper mode they wait for the greeting. False: the session is over. */
async function checkCertificate(session: Session): Promise<boolean> {
  const { settings, log, tls } = session;
  if (!settings.tlsCertificateRequired || tls?.peer?.trusted === true) return true;
  const why = tls?.peer === undefined ? "No client certificate presented" : "Client certificate not trusted";
  log.info(`NOQUEUE: abort: TLS from ${session.peer}: ${why}`);
  if (!settings.tlsWrapper && (await session.readLine()).kind === "lost") return false;
  await session.respond(reply(421, "4.7.1", `${settings.hostname} Error: ${why}`));
  return false;
}

/** What createServerTls() needs, from a service's parameters. undefined: the service has no TLS. */
export function serverTlsInput(
  params: Parameters,
  rest: Pick<ServerTlsInput, "read" | "readDirectory" | "ticketKeys">,
): ServerTlsInput | undefined {
  const wrapper = params.get("smtpd_tls_wrappermode");
  const level = wrapper ? "encrypt" : tlsLevelOf(params);
  if (level === "none") return undefined;
  const mandatory = level === "encrypt";
  const pairs = [
    { certFile: params.get("smtpd_tls_cert_file"), keyFile: params.get("smtpd_tls_key_file") },
    { certFile: params.get("smtpd_tls_eccert_file"), keyFile: params.get("smtpd_tls_eckey_file") },
  ].filter((pair) => pair.certFile !== "" && pair.certFile !== "none");
  const grade = params.get(mandatory ? "smtpd_tls_mandatory_ciphers" : "smtpd_tls_ciphers");
  return {
    chainFiles: params.get("smtpd_tls_chain_files"),
    pairs,
    protocols: params.get(mandatory ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols"),
    grade,
    excludeCiphers: [
      ...params.get("smtpd_tls_exclude_ciphers"),
      ...(mandatory ? params.get("smtpd_tls_mandatory_exclude_ciphers") : []),
    ],
    preferServerOrder: params.get("tls_preempt_cipherlist"),
    cipherList: cipherListOf(params, grade),
    curves: params.source("tls_eecdh_auto_curves") && params.get("tls_eecdh_auto_curves"),
    clientCertificates: clientCertificates(params, mandatory),
    ...rest,
  };
}

/** The list that the operator gave to the grade; undefined: the library's own. */
function cipherListOf(params: Parameters, grade: ServerTlsInput["grade"]): string | undefined {
  const name = grade === "high" || grade === "null" ? (`tls_${grade}_cipherlist` as const) : "tls_medium_cipherlist";
  return params.source(name) && params.get(name);
}

function clientCertificates(params: Parameters, mandatory: boolean): ServerTlsInput["clientCertificates"] {
  if (!params.get("smtpd_tls_ask_ccert") && !(mandatory && params.get("smtpd_tls_req_ccert"))) return undefined;
  return {
    authorityFile: params.get("smtpd_tls_CAfile"),
    authorityDirectory: params.get("smtpd_tls_CApath"),
    appendPublic: params.get("tls_append_default_CA"),
    digest: params.get("smtpd_tls_fingerprint_digest"),
    verifyDepth: params.get("smtpd_tls_ccert_verifydepth"),
  };
}
