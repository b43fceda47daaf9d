/** smtpd/commands/auth.ts: AUTH (RFC 4954). Decides if AUTH is allowed now and drives one SASL exchange. Knows no
 *  password and nearly no mechanism: that is sasl/. Order of tests as Postfix (postfix.md §3.4). */
import { printableAscii } from "../../mail/printable.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import type { SaslExchange, SaslStep } from "../../sasl/backend.ts";
import { decodeBase64 } from "../base64.ts";
import { clientFields } from "../log-fields.ts";
import { answer, type HandlerResult, lost, replyWith } from "../result.ts";
import type { ClientLine, Session } from "../session.ts";
import { checkGreeted } from "./helo.ts";

/** Mechanisms whose first message is the server's: an initial response is an error (AUTH-07). LOGIN is not among them,
 *  because Python's smtplib always sends the user name with it. */
const SERVER_FIRST = new Set(["CRAM-MD5", "DIGEST-MD5"]);

const HIDDEN = "********";
/** AUTH-09 */
export const LIMIT_EXCEEDED = answer(500, "5.5.6", "SASL response limit exceeded");

/** Why AUTH is refused now, or undefined. */
function checkAuth(session: Session): Reply | undefined {
  const ungreeted = checkGreeted(session);
  if (ungreeted) return ungreeted;
  // As Postfix does: until TLS there is no AUTH at all, and nothing of its own is said about it (AUTH-03).
  if (session.options.sasl === undefined || (session.settings.tlsAuthOnly && !session.tls)) {
    return reply(503, "5.5.1", "Error: authentication not enabled");
  }
  if (session.transaction) return reply(503, "5.5.1", "Error: MAIL transaction in progress"); // AUTH-12
  if (session.user) return reply(503, "5.5.1", "Error: already authenticated"); // AUTH-11
  return undefined;
}

export async function runAuth(session: Session, args: string): Promise<HandlerResult> {
  const refused = (await session.limits.auth(session)) ?? checkAuth(session);
  if (refused) return replyWith(refused);
  const [, name, initial] = /^(\S+)(?:[ \t]+(\S+))?$/.exec(args) ?? [];
  if (name === undefined) return answer(501, "5.5.4", "Syntax: AUTH mechanism");
  const mechanism = name.toUpperCase();
  const attempt = { session, mechanism };
  if (initial !== undefined && initial.length > session.settings.saslResponseLimit) return LIMIT_EXCEEDED;
  if (initial !== undefined && SERVER_FIRST.has(mechanism)) {
    return fail(attempt, { code: 501, dsn: "5.7.0", reason: "Initial response not allowed" });
  }
  const response = initial === undefined ? undefined : decodeInitial(initial);
  if (response === "invalid") {
    return fail(attempt, { code: 501, dsn: "5.5.2", reason: "Invalid base64 data in initial response" });
  }
  const exchange = start(session, mechanism);
  if (exchange === "unreachable") {
    return fail(attempt, { code: 454, dsn: "4.7.0", reason: "Connection lost to authentication server" });
  }
  if (exchange === undefined) {
    const reason = `Invalid authentication mechanism: '${printableAscii(name).slice(0, 100)}'`;
    return fail(attempt, { code: 504, dsn: "5.5.4", reason }); // AUTH-13
  }
  return converse(attempt, exchange, response);
}

interface Attempt {
  readonly session: Session;
  readonly mechanism: string;
}

interface Failure {
  readonly code: number;
  readonly dsn: string;
  readonly reason: string;
  readonly username?: string | undefined;
}

/** "=" is a response of no bytes (AUTH-06). */
function decodeInitial(text: string): Uint8Array | "invalid" {
  return text === "=" ? new Uint8Array() : (decodeBase64(text) ?? "invalid");
}

function start(session: Session, mechanism: string): SaslExchange | "unreachable" | undefined {
  const { options, client, server, settings } = session;
  const { sasl } = options;
  if (sasl === undefined) return undefined;
  if (sasl.mechanisms().length === 0) return "unreachable"; // AUTH-15
  const tls = session.tls !== undefined;
  if (!options.announce(sasl, { tls }).some((m) => m.name.toUpperCase() === mechanism)) return undefined;
  return sasl.start(mechanism, {
    clientAddress: client.address,
    serverAddress: server.address,
    clientPort: client.port,
    serverPort: server.port,
    tls,
    myhostname: settings.hostname,
  });
}

async function converse(
  attempt: Attempt,
  exchange: SaslExchange,
  initial: Uint8Array | undefined,
): Promise<HandlerResult> {
  const { session } = attempt;
  let step: SaslStep = await exchange.next(initial);
  while (step.kind === "challenge") {
    session.send(reply(334, undefined, Buffer.from(step.challenge).toString("base64"))); // AUTH-04: "334 " and no more
    const line = await session.readLine();
    const response = line.kind === "lost" ? lost(line.why) : readResponse(attempt, line);
    if ("kind" in response) {
      exchange.close();
      return response;
    }
    step = await exchange.next(response);
  }
  if (step.kind === "success") {
    session.user = step.identity;
    return answer(235, "2.7.0", "Authentication successful");
  }
  const { temporary, reason, username } = step;
  return fail(attempt, { code: temporary ? 454 : 535, dsn: temporary ? "4.7.0" : "5.7.8", reason, username });
}

/** The bytes of a continued response, or how the exchange ends. */
function readResponse(attempt: Attempt, line: ClientLine): Uint8Array | HandlerResult {
  const { session } = attempt;
  session.logInput(line.text === "*" ? "*" : HIDDEN);
  if (line.text === "*") return abort(attempt); // AUTH-05
  if (line.truncated || line.text.length > session.settings.saslResponseLimit) return LIMIT_EXCEEDED;
  const invalid = { code: 501, dsn: "5.5.2", reason: "Invalid base64 data in continued response" }; // AUTH-08
  return decodeBase64(line.text) ?? fail(attempt, invalid);
}

function abort({ session, mechanism }: Attempt): HandlerResult {
  session.log.warning(
    `${session.peer}: SASL ${session.printable(mechanism).slice(0, 100)} authentication aborted`,
    () => ({
      ...clientFields(session, "auth_aborted"),
      sasl_method: session.printable(mechanism).slice(0, 100),
    }),
  );
  return answer(501, "5.7.0", "Authentication aborted");
}

function fail({ session, mechanism }: Attempt, failure: Failure): HandlerResult {
  const reason = session.printable(failure.reason) || "(reason unavailable)";
  const username = failure.username === undefined ? "(unavailable)" : session.printable(failure.username).slice(0, 100);
  const shown = session.printable(mechanism).slice(0, 100);
  session.log.warning(
    `${session.peer}: SASL ${shown} authentication failed: ${reason}, sasl_username=${username}`,
    () => ({
      ...clientFields(session, "auth_failed"),
      sasl_method: shown,
      sasl_username: failure.username === undefined ? undefined : username,
      reason,
    }),
  );
  const what = failure.code === 454 ? "Temporary authentication failure" : "Error: authentication failed";
  return answer(failure.code, failure.dsn, printableAscii(`${what}: ${reason}`));
}

/** Unread input as the log may show it: nothing behind an AUTH command, whose answers may follow it. `where`: the command
 *  that was just read. */
export function hideCredentials(input: string, where: string): string {
  if (where === "AUTH") return HIDDEN;
  return input.replace(/^([ \t]*AUTH[ \t]+\S+\s+)\S.*$/ims, (_, shown: string) => `${shown}${HIDDEN}`);
}

/** An AUTH line as the debug log may show it; blanks in front do not keep it from being one. */
export function hideInitialResponse(line: string): string {
  // Each line of each client comes here.
  const first = line.charCodeAt(0);
  if ((first | 0x20) !== 0x61 && first !== 0x20 && first !== 0x09) return line;
  return line.replace(/^([ \t]*AUTH[ \t]+\S+[ \t]+).+$/is, `$1${HIDDEN}`);
}
