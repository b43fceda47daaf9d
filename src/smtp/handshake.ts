/** smtp/handshake.ts: from nothing to a session that may take mail: connect, greeting, EHLO, STARTTLS, AUTH.
 *  TLS is RFC 3207: nothing learnt in clear is kept after it. */
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type ClientConnection, ConnectionError } from "../net/client-connection.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import { authenticate } from "./authentication.ts";
import { connectTo, OwnAddressError } from "./connect.ts";
import { findCredentials } from "./credentials.ts";
import { sayHello, speaksEsmtp, unfriendly } from "./hello.ts";
import type { MtaSts } from "./mta-sts.ts";
import { brokenVerdict, ownVerdict, type Verdict } from "./outcome.ts";
import { replyClass, type SharedReplyRules } from "./reply.ts";
import { formatHost, formatRelay, Session, type Target, type TlsResult } from "./session.ts";
import type { Settings } from "./settings.ts";
import { type TlsDemand, unfitSession } from "./tls-demand.ts";
import type { TlsEngine } from "./tls-engine.ts";
import { startTls, startTlsIfWanted, TLS_PHASE } from "./tls-handshake.ts";
import { type PreparedTls, prepareTls, withLearntAnchors } from "./tls-prepare.ts";
import type { TlsFailure, TlsTally } from "./tls-tally.ts";

export interface HandshakeOptions {
  readonly settings: Settings;
  readonly tables: TableOpener;
  readonly dns: Dns;
  readonly engine: TlsEngine;
  readonly sts: MtaSts | undefined;
  readonly tally: Pick<TlsTally, "record"> | undefined;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
  readonly log: Log;
  readonly sender: Address;
  /** What the message asks of TLS. */
  readonly demand: TlsDemand | undefined;
  /** Milliseconds that the message waited in the queue before this delivery. */
  readonly queuedMs: number;
  /** Of the message that the session is opened for. */
  readonly queueId: string;
  readonly replies: SharedReplyRules;
  readonly signal: AbortSignal;
}

/** Why a target took no mail at all. `reached`: it answered the connection, so `relay=` names it. */
export interface Refusal {
  readonly verdict: Verdict;
  readonly reached: boolean;
}

export type Opened = { readonly session: Session } | { readonly refusal: Refusal };

/** Opens a session; at level "may" a failed TLS handshake is followed by a second try in clear, as from Postfix only for
 *  mail that has waited and where no password is known. Never rejects for anything the peer does. */
export async function openSession(target: Target, options: HandshakeOptions): Promise<Opened> {
  try {
    let tls = await prepareTls(target, options);
    if (tls !== undefined && "refused" in tls) return { refusal: { verdict: tls.refused, reached: false } };
    let first = await attempt(target, tls, options);
    const better = "refusal" in first ? withLearntAnchors(tls, options.engine) : undefined;
    if (better !== undefined) {
      tls = better;
      first = await attempt(target, tls, options);
    }
    if (tls?.reported && first.result) options.tally?.record(tls.reported, failureOf(target, first));
    const again = "refusal" in first && first.tlsFailed && (await mayTryInClear(target, tls, options));
    return again ? await attempt(target, undefined, options) : first;
  } catch (cause) {
    if (!(cause instanceof TableError)) throw cause;
    options.log.warning(`${cause.message}`);
    const verdict = ownVerdict("4.3.0", `local data error while talking to ${formatHost(target)}`);
    return { refusal: { verdict, reached: false } };
  }
}

async function mayTryInClear(
  target: Target,
  tls: PreparedTls | undefined,
  options: HandshakeOptions,
): Promise<boolean> {
  const { settings, tables, sender, queuedMs, signal } = options;
  if (tls?.policy.level !== "may" || queuedMs < settings.minimalBackoffMs || signal.aborted) return false;
  return (await findCredentials(tables, settings, { target, sender })) === undefined;
}

type Attempt = ({ readonly session: Session } | { readonly refusal: Refusal; readonly tlsFailed: boolean }) & {
  /** How TLS went, and our end of the connection; undefined: it was not tried, or does not count. */
  readonly result?: Exclude<TlsResult, "skipped"> | undefined;
  readonly ownAddress?: string | undefined;
};

function failureOf({ host, address }: Target, { result, ownAddress = "" }: Attempt): TlsFailure | undefined {
  return result === undefined || result === "success" ? undefined : { ...result, host, address, ownAddress };
}

function resultOf({ tlsResult }: Session): Exclude<TlsResult, "skipped"> | undefined {
  return tlsResult === "skipped" ? undefined : tlsResult;
}

async function attempt(target: Target, tls: PreparedTls | undefined, options: HandshakeOptions): Promise<Attempt> {
  let connection: ClientConnection;
  try {
    connection = await connectTo(target, options);
  } catch (cause) {
    if (cause instanceof OwnAddressError) {
      const verdict = ownVerdict("4.4.0", "server configuration error");
      return { refusal: { verdict, reached: false }, tlsFailed: false };
    }
    if (!(cause instanceof ConnectionError)) throw cause;
    const verdict = ownVerdict("4.4.1", `connect to ${formatRelay(target)}: ${cause.message}`);
    return { refusal: { verdict, reached: false }, tlsFailed: false };
  }
  const { ownAddress } = connection;
  const session = newSession(connection, target, options);
  const abort = () => connection.destroy();
  options.signal.addEventListener("abort", abort, { once: true });
  try {
    const verdict = options.signal.aborted ? aborted() : await prepare(session, tls, options);
    if (!verdict) return { session, result: resultOf(session), ownAddress };
    session.quit();
    return { refusal: { verdict, reached: true }, tlsFailed: false, result: resultOf(session), ownAddress };
  } catch (cause) {
    connection.destroy();
    if (!(cause instanceof ConnectionError)) throw cause;
    const tlsFailed = session.phase === TLS_PHASE;
    if (tlsFailed) session.tlsResult = { type: "validation-failure", reason: printableUtf8(cause.message) };
    if (tlsFailed) options.log.info(`SSL_connect error to ${session.relay}: ${cause.message}`);
    const verdict = tlsFailed ? HANDSHAKE_FAILURE : brokenVerdict(session.host, cause, session.phase);
    return { refusal: { verdict, reached: true }, tlsFailed, result: resultOf(session), ownAddress };
  } finally {
    options.signal.removeEventListener("abort", abort);
  }
}

const HANDSHAKE_FAILURE = ownVerdict("4.7.5", "Cannot start TLS: handshake failure");
function newSession(connection: ClientConnection, target: Target, options: HandshakeOptions): Session {
  const { clock, log, queueId, settings } = options;
  const session = new Session({
    connection,
    target,
    openedMs: clock.monotonic(),
    log,
    protocol: settings.protocol,
    replies: options.replies,
  });
  session.queueId = queueId;
  return session;
}

function aborted(): Verdict {
  return ownVerdict("4.3.2", "delivery interrupted by shutdown");
}

/** Greeting to AUTH; undefined when mail may follow. Rejects ConnectionError. */
async function prepare(
  session: Session,
  tls: PreparedTls | undefined,
  options: HandshakeOptions,
): Promise<Verdict | undefined> {
  const { settings } = options;
  if (settings.tls.wrapper && tls) {
    const unverified = await startTls(session, tls, options);
    if (unverified) return unverified;
  }
  const greeting = await session.reply("receiving the initial server greeting", settings.timeouts.heloMs);
  if (replyClass(greeting) !== 2) return unfriendly(session, greeting, settings.skip5xxGreeting);
  return (
    (await sayHello(session, options, { extended: speaksEsmtp(greeting, settings) })) ??
    (await secure(session, tls, options)) ??
    unfitSession(session, options.demand) ??
    (await logIn(session, options))
  );
}

/** STARTTLS as the policy demands, then EHLO again. */
async function secure(
  session: Session,
  tls: PreparedTls | undefined,
  options: HandshakeOptions,
): Promise<Verdict | undefined> {
  session.reuse = tls?.policy.reuse;
  const result = await startTlsIfWanted(session, tls, options);
  return result === "started" ? sayHello(session, options, { extended: true }) : result;
}

async function logIn(session: Session, options: HandshakeOptions): Promise<Verdict | undefined> {
  const { settings, tables, sender } = options;
  const credentials = await findCredentials(tables, settings, { target: session.target, sender });
  return credentials && authenticate(session, credentials, settings);
}
