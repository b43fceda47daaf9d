/** admin/live-listener.ts: asks a running submission service whether it is what account documents say of it: TLS as promised, a
 *  certificate for the name that programs connect to, AUTH with the announced mechanisms. Nobody logs in, nothing is sent. */
import type { X509Certificate } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import { ClientConnection, ConnectionError } from "../net/client-connection.ts";
import type { EstablishedTls } from "../net/client-tls.ts";
import { matchesName } from "../net/server-certificate.ts";
import { type PeerReply, readReply } from "../smtp/reply.ts";
import type { AccountServer } from "./account.ts";

export interface LiveFinding {
  /** "error": users' programs fail here. */
  readonly severity: "error" | "warning";
  readonly text: string;
}

export interface ListenerOptions {
  readonly server: AccountServer;
  /** Where the service listens on this machine. */
  readonly address: string;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
}

/** For each reply. */
const TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;
/** Time to put a certificate in place. */
const EXPIRY_WARNING_MS = 14 * DAY_MS;
/** Longest chain that is looked at. */
const MAX_CHAIN = 20;
const EHLO_NAME = "postern-autoconfig.invalid";

/** What is wrong; never rejects for anything the server does. */
export async function askListener(options: ListenerOptions): Promise<readonly LiveFinding[]> {
  const { server, address, deadlines } = options;
  let connection: ClientConnection | undefined;
  try {
    const peer = { address, port: server.port };
    connection = await ClientConnection.open({ peer, deadlines, timeoutMs: TIMEOUT_MS });
    return await converse(connection, options);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return [{ severity: "error", text: `does not answer: ${error.message}` }];
  } finally {
    connection?.destroy();
  }
}

/** The certificate that a service shows on STARTTLS, with those that it sends above it; undefined: none, or nobody answers. */
export async function shownCertificate(
  { address, port, host }: { readonly address: string; readonly port: number; readonly host: string },
  deadlines: Deadlines,
): Promise<readonly X509Certificate[] | undefined> {
  let connection: ClientConnection | undefined;
  try {
    connection = await ClientConnection.open({ peer: { address, port }, deadlines, timeoutMs: TIMEOUT_MS });
    await readReply(connection, TIMEOUT_MS);
    await say(connection, `EHLO ${EHLO_NAME}`);
    if ((await say(connection, "STARTTLS")).code !== 220) return undefined;
    const established = await connection.startTls({ serverName: host, timeoutMs: TIMEOUT_MS });
    const chain: X509Certificate[] = [];
    let next = established.certificate();
    while (next !== undefined && chain.length < MAX_CHAIN) {
      chain.push(next);
      next = next.checkIssued(next) ? undefined : next.issuerCertificate;
    }
    await say(connection, "QUIT");
    return chain;
  } catch (error) {
    if (error instanceof ConnectionError) return undefined;
    throw error;
  } finally {
    connection?.destroy();
  }
}

async function converse(connection: ClientConnection, options: ListenerOptions): Promise<readonly LiveFinding[]> {
  const { server } = options;
  const findings: LiveFinding[] = [];
  const fail = (text: string) => findings.push({ severity: "error", text });
  const handshake = async () => {
    const established = await connection.startTls({ serverName: server.host, timeoutMs: TIMEOUT_MS });
    findings.push(...certificateFindings(established, server.host, options.clock.now()));
  };
  if (server.security === "tls") await handshake();
  const greeting = await readReply(connection, TIMEOUT_MS);
  if (greeting.code !== 220) {
    fail(`greets with ${greeting.text}`);
    return findings;
  }
  let hello = await say(connection, `EHLO ${EHLO_NAME}`);
  if (server.security === "starttls") {
    if (!keywords(hello).has("STARTTLS")) {
      fail("does not offer STARTTLS");
      return findings;
    }
    const reply = await say(connection, "STARTTLS");
    if (reply.code !== 220) {
      fail(`refuses STARTTLS: ${reply.text}`);
      return findings;
    }
    await handshake();
    hello = await say(connection, `EHLO ${EHLO_NAME}`);
  }
  findings.push(...authFindings(hello, server));
  await say(connection, "QUIT");
  return findings;
}

function certificateFindings(established: EstablishedTls, host: string, nowMs: number): readonly LiveFinding[] {
  const certificate = established.certificate();
  if (certificate === undefined) return [{ severity: "error", text: "shows no certificate" }];
  const findings: LiveFinding[] = [];
  if (!matchesName(certificate, host, false)) {
    const names = certificate.subjectAltName ?? certificate.subject.replaceAll("\n", ", ");
    findings.push({ severity: "error", text: `has a certificate that is not for ${host} but for ${names}` });
  }
  const ends = certificate.validToDate.getTime();
  const day = new Date(ends).toISOString().slice(0, 10);
  if (ends < nowMs) findings.push({ severity: "error", text: `has a certificate that ended on ${day}` });
  else if (ends < nowMs + EXPIRY_WARNING_MS) {
    findings.push({ severity: "warning", text: `has a certificate that ends on ${day}` });
  }
  if (established.chainError !== undefined && ends >= nowMs)
    findings.push(distrust(certificate, established.chainError));
  return findings;
}

/** A site may have given its users its own CA. */
function distrust(certificate: X509Certificate, code: string): LiveFinding {
  const selfSigned = certificate.checkIssued(certificate);
  const text = selfSigned ? "a self-signed certificate" : "a certificate of no public CA, or without the chain to it";
  return { severity: "warning", text: `has ${text} (${code}): programs will warn their users` };
}

function authFindings(hello: PeerReply, { mechanisms }: AccountServer): readonly LiveFinding[] {
  const offered = keywords(hello).get("AUTH")?.split(" ") ?? [];
  if (offered.length === 0) return [{ severity: "error", text: "does not offer AUTH over TLS" }];
  const absent = mechanisms.filter((name) => !offered.includes(name));
  if (absent.length === 0) return [];
  const text = `offers AUTH ${offered.join(" ")}, not ${absent.join(" ")}: it runs another configuration`;
  return [{ severity: "error", text }];
}

/** EHLO keywords, upper case, with their parameters. */
function keywords({ lines }: PeerReply): ReadonlyMap<string, string> {
  return new Map(
    lines.slice(1).map((line) => {
      const [, keyword = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(line.toUpperCase()) ?? [];
      return [keyword, rest.trim()] as const;
    }),
  );
}

async function say(connection: ClientConnection, line: string): Promise<PeerReply> {
  await connection.write(`${line}\r\n`, TIMEOUT_MS);
  return readReply(connection, TIMEOUT_MS);
}
