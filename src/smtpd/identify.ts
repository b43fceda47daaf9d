/** smtpd/identify.ts: who the client is, before anything is said to it: the PROXY header, the name, and what follows from
 *  being that client. XCLIENT makes it another one later: recognise() is for both. */
import type { Awaitable } from "../base/awaitable.ts";
import { reply } from "../mail/reply.ts";
import type { ListAnswer } from "./client-matcher.ts";
import type { DiscardedKeywords } from "./discarded-keywords.ts";
import { clientFields } from "./log-fields.ts";
import { lookUpClient, unnamedClient } from "./peer-name.ts";
import type { Session } from "./session.ts";

/** Logs the connection. False: it did not begin with a good PROXY header, the session is over. */
export async function identify(session: Session): Promise<boolean> {
  const { options, settings, log } = session;
  if (settings.proxyHeaderMs !== undefined && !(await takeHeader(session, settings.proxyHeaderMs))) return false;
  if (settings.peernameLookup && options.dns !== undefined) {
    const { client, warning } = await lookUpClient(session.client, options.dns);
    session.client = client;
    if (warning !== undefined) log.warning(session.printable(warning));
  }
  const recognised = recognise(session);
  if (recognised instanceof Promise) await recognised;
  // Kept when XCLIENT changes the client, as in Postfix: XFORWARD is between this host and us.
  session.xforwardAllowed = options.xforwardHosts ? await options.xforwardHosts(session.client) : false;
  log.info(`connect from ${session.peer}`, () => clientFields(session, "connect"));
  return true;
}

/** What is granted to this client. */
export function recognise(session: Session): Awaitable<void> {
  const { options, client, settings } = session;
  const discarded = options.discardedByAddress?.(client.address);
  const lists = [
    options.debugPeers,
    options.bareNewlineExclusions,
    options.xclientHosts,
    options.saslExceptions,
    options.extensionClients,
  ];
  if (options.authenticator) lists.push(options.authenticationTrusted);
  const answers = lists.map((list) => (list ? list(client) : false));
  const isKnown = (answer: Awaitable<ListAnswer>): answer is ListAnswer => !(answer instanceof Promise);
  if (discarded === undefined && answers.every(isKnown)) {
    return grant(session, settings.discarded, answers);
  }
  return Promise.all([discarded ?? settings.discarded, Promise.all(answers)]).then((known) => grant(session, ...known));
}

/** The answers in the order of recognise(). */
function grant(session: Session, discarded: DiscardedKeywords | undefined, answers: readonly ListAnswer[]): void {
  const [debug, bareNewlineExcluded, xclientAllowed, saslExcepted, extensionClient, authenticationTrusted] = answers;
  session.discarded = discarded;
  session.debug = debug === true;
  session.bareNewlineExcluded = bareNewlineExcluded === true;
  session.xclientAllowed = xclientAllowed;
  session.saslExcepted = saslExcepted;
  session.authenticationTrusted = authenticationTrusted === true;
  session.extensionClient = extensionClient;
}

/** The balancer's word for who the client is. Without a good one nobody is served: its own address may be trusted. */
async function takeHeader(session: Session, timeoutMs: number): Promise<boolean> {
  const { log, settings, connection } = session;
  const header = await connection.takeProxyHeader(timeoutMs);
  if (header === "interrupted") {
    session.send(reply(421, "4.3.2", `${settings.hostname} Service shutting down`));
    return false;
  }
  if (typeof header === "string" || header.kind === "bad") {
    const why = typeof header === "string" ? undefined : `${header.text}: ${escaped(header.shown)}`;
    log.warning(`haproxy read: ${why ?? (header === "timeout" ? "timeout error" : "EOF")}`);
    log.info(`connect from ${session.peer}`, () => clientFields(session, "connect"));
    session.send(reply(421, "4.3.0", `${settings.hostname} Server local error`));
    return false;
  }
  if (header.kind === "proxied") {
    session.client = unnamedClient(header.client);
    session.server = header.server;
  }
  return true;
}

/** Bytes for the log, as Postfix's escape() shows them. */
function escaped(latin1: string): string {
  return latin1.replace(/[^\x20-\x5b\x5d-\x7e]/g, (c) => {
    if (c === "\r") return "\\r";
    if (c === "\n") return "\\n";
    return `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
}
