/** smtpd/dialogue.ts: the course of one session: connect, greeting, commands until the end, disconnect. What a command
 *  does is in commands/. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import { escapeControls } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { hideCredentials, hideInitialResponse, LIMIT_EXCEEDED } from "./commands/auth.ts";
import type { CommandSpec } from "./commands/spec.ts";
import { findCommand, UNKNOWN_COMMAND } from "./commands.ts";
import { bareNewline } from "./content.ts";
import { dataError } from "./data-error.ts";
import { looksLikeHeader } from "./forbidden-commands.ts";
import { identify } from "./identify.ts";
import { clientFields, sessionFields } from "./log-fields.ts";
import { milterConnect, milterUnknown } from "./milters.ts";
import type { HandlerResult, Lost } from "./result.ts";
import type { ClientLine, Session } from "./session.ts";
import { softened } from "./soft-bounce.ts";
import { secure } from "./tls-session.ts";
import { applyVerdict } from "./verdict.ts";

/** As hideInitialResponse() knows it. */
const AUTH_LINE = /^[ \t]*AUTH\s/i;
/** Bytes of what a client sent too early that the log shows. */
const EARLY_TALK_SHOWN = 100;

/** Serves the client to the end. A bug ends this session only (style §4, errors). */
export async function converse(session: Session): Promise<void> {
  try {
    if ((await identify(session)) && (await open(session))) await serve(session);
  } catch (bug) {
    const stack = bug instanceof Error ? (bug.stack ?? bug.message) : String(bug);
    session.log.error(`Session of ${session.peer} failed: ${session.printable(stack.replace(/\s*\n\s*/g, " | "))}`);
    session.send(reply(421, "4.3.0", `${session.settings.hostname} Server local data error`));
  }
  session.transaction?.filtered?.close();
  session.transaction?.endOfReservation?.();
  if (session.limits.counted) {
    session.connection.flush();
    await session.limits.disconnect();
  }
  const notes = session.sawBareLf && session.settings.bareNewline === "note" && !session.bareNewlineExcluded;
  const note = notes ? " notes=bare_lf" : "";
  session.log.info(`disconnect from ${session.peer}${session.tally.format()}${note}`, () => ({
    ...clientFields(session, "disconnect"),
    ...session.tally.fields(),
  }));
  session.transcript?.end(session.peer);
  await session.abandonContent();
  session.endMilters();
  await session.connection.close();
}

/** TLS in wrapper mode, then the greeting. False: the session is over. */
async function open(session: Session): Promise<boolean> {
  if (session.settings.tlsWrapper) {
    if (await session.limits.refusesTls(session, "TLS service request")) return false;
    if (!(await secure(session))) return false;
  }
  return welcome(session);
}

/** The greeting, or why there is none. False: the session is over. */
export async function welcome(session: Session): Promise<boolean> {
  // As in Postfix: who speaks for other clients is not counted, they are.
  const counted = session.xclientAllowed ? undefined : session.limits.connect(session);
  const tooMany = counted instanceof Promise ? await counted : counted;
  if (tooMany) {
    await session.respond(tooMany);
    return false;
  }
  const decided = session.access.atConnect(session.facts("CONNECT"));
  const refused = applyVerdict(session, decided instanceof Promise ? await decided : decided);
  session.denied = refused !== undefined;
  if (refused) {
    session.errors++;
    return !(await deliver(session, { kind: "reply", reply: refused }));
  }
  const asked = milterConnect(session);
  const unwanted = asked instanceof Promise ? await asked : asked;
  if (unwanted && unwanted.code !== 421 && unwanted.code < 500) session.errors++;
  else if (unwanted) return unwelcome(session, unwanted);
  if (isOutOfTurn(session, "CONNECT")) return false;
  const greeted = session.respond(reply(220, undefined, session.settings.banner));
  if (greeted instanceof Promise) await greeted;
  return true;
}

/** A Milter refuses the client: it is told so now for good, or, after a 4xx, at each command. False: the session is over. */
async function unwelcome(session: Session, { code }: Reply): Promise<boolean> {
  const { hostname } = session.settings;
  const refusal =
    code === 421
      ? reply(421, undefined, `${hostname} Service unavailable - try again later`)
      : reply(554, undefined, `${hostname} ESMTP not accepting connections`);
  return !(await deliver(session, { kind: "reply", reply: refusal }));
}

/** Commands, one after the other. */
async function serve(session: Session): Promise<void> {
  const { settings } = session;
  for (;;) {
    if (session.errors >= settings.hardErrorLimit) {
      await session.respond(reply(421, "4.7.0", `${settings.hostname} Error: too many errors`));
      return logEnd(session, "too many errors");
    }
    if (session.draining && session.transaction === undefined && !session.connection.inputPending) {
      return endSession(session, "interrupted");
    }
    const read = session.readLine();
    const line = read instanceof Promise ? await read : read;
    if (line.kind === "lost") return endSession(session, line.why);
    const handled = handle(session, line);
    if (handled instanceof Promise ? await handled : handled) return;
    if (session.connection.writeBlocked) {
      const result = await session.connection.drained(settings.timeoutMs);
      if (result !== "ready") return endSession(session, result);
    }
  }
}

/** One line of the client. True: the session is over. */
export function handle(session: Session, line: ClientLine): Awaitable<boolean> {
  const { settings } = session;
  const text = limitLength(session, line);
  session.logInput(hideInitialResponse(text));
  if (line.bareLf && settings.bareNewline === "reject" && !session.bareNewlineExcluded) {
    return deliver(session, bareNewline(session));
  }
  if (settings.smtputf8 && !line.validUtf8) {
    return deliver(session, { kind: "reply", reply: reply(500, "5.5.2", "Error: bad UTF-8 syntax") });
  }
  if (line.truncated && AUTH_LINE.test(text)) return deliver(session, LIMIT_EXCEEDED);
  const filter = session.options.commandFilter;
  if (filter === undefined) return dispatch(session, text);
  return filter(text, session).then((filtered) =>
    filtered === undefined ? deliver(session, dataError(session)) : dispatch(session, filtered),
  );
}

/** A line that may be a command. True: the session is over. */
function dispatch(session: Session, text: string): Awaitable<boolean> {
  const { settings } = session;
  const start = blanksFrom(text, 0);
  const end = wordFrom(text, start);
  if (start === end || text.includes("\0")) {
    return deliver(session, { kind: "reply", reply: reply(500, "5.5.2", "Error: bad syntax") });
  }
  const name = text.slice(start, end).toUpperCase();
  if (settings.noopCommands.has(name)) {
    if (session.junk++ > settings.junkLimit) session.errors++;
    return deliver(session, { kind: "reply", reply: reply(250, "2.0.0", "Ok") });
  }
  const args = text.slice(blanksFrom(text, end)).trimEnd();
  return execute(session, { verb: name, line: text, args, known: findCommand(name) });
}

/** Where the blanks and tabs from there on end. By hand, as each line of each client comes here. */
function blanksFrom(text: string, from: number): number {
  let at = from;
  while (at < text.length && isBlank(text.charCodeAt(at))) at++;
  return at;
}

/** Where the word that begins there ends. */
function wordFrom(text: string, from: number): number {
  let at = from;
  while (at < text.length && !isBlank(text.charCodeAt(at))) at++;
  return at;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

interface Command {
  readonly verb: string;
  readonly line: string;
  readonly args: string;
  readonly known: CommandSpec | undefined;
}

/** Tests in Postfix's order (smtpd_proto), then the command. True: the session is over. */
function execute(session: Session, command: Command): Awaitable<boolean> {
  const { settings, tally } = session;
  const spec = command.known ?? UNKNOWN_COMMAND;
  tally.count(spec.tally);
  if (
    command.known === undefined &&
    (settings.forbiddenCommands.matches(command.verb) || looksLikeHeader(command.line))
  ) {
    session.log.warning(`non-SMTP command from ${session.peer}: ${session.printable(command.line).slice(0, 100)}`);
    session.send(reply(221, "2.7.0", "Error: I can break rules, too. Goodbye."));
    return true;
  }
  if (session.denied && command.verb !== "QUIT") {
    return deliver(session, { kind: "reply", reply: reply(503, "5.7.0", `Error: access denied for ${session.peer}`) });
  }
  if (settings.tlsLevel === "encrypt" && !session.tls && !spec.preTls) {
    return deliver(session, { kind: "reply", reply: reply(530, "5.7.0", "Must issue a STARTTLS command first") }); // TLS-07
  }
  session.where = command.known === undefined ? "UNKNOWN" : command.verb;
  if ((session.protocol !== "ESMTP" || spec.endsGroup) && isOutOfTurn(session, session.where)) return true;
  if (command.known === undefined && session.milters) {
    return whenKnown(milterUnknown(session, command.verb), (refused) =>
      refused ? deliver(session, { kind: "reply", reply: refused }) : run(session, spec, command.args),
    );
  }
  return run(session, spec, command.args);
}

function run(session: Session, spec: CommandSpec, args: string): Awaitable<boolean> {
  return whenKnown(spec.run(session, args), (result) => conclude(session, spec, result));
}

/** What the command's result means for the counters, and its reply. True: the session is over. */
function conclude(session: Session, spec: CommandSpec, result: HandlerResult): Awaitable<boolean> {
  const { settings, tally } = session;
  const good = "reply" in result && (result.reply.code < 400 || (result.kind === "reply" && result.tolerated));
  if (good && result.kind !== "startTls") tally.succeed(spec.tally);
  if (spec.junk && session.junk++ > settings.junkLimit) session.errors++;
  return whenKnown(deliver(session, result), (over) => {
    // A handshake that fails is a STARTTLS that failed, as in Postfix.
    if (result.kind === "startTls" && !over) tally.succeed(spec.tally);
    if (spec.endsGroup) session.connection.flush(); // PIPE-03
    return over;
  });
}

type Answered = Extract<HandlerResult, { readonly reply: unknown }>;

/** Sends the reply and does what else the result asks for. True: the session is over. */
function deliver(session: Session, result: HandlerResult): Awaitable<boolean> {
  if (result.kind === "lost") {
    endSession(session, result.why);
    return true;
  }
  if (result.kind === "greetAgain") return welcome(session).then((served) => !served);
  if (session.hangup) {
    session.connection.destroy();
    return true;
  }
  return whenKnown(session.respond(result.reply), () => afterReply(session, result));
}

/** Counts the error, begins TLS. True: the session is over. */
function afterReply(session: Session, result: Answered): Awaitable<boolean> {
  const answer = session.settings.softBounce ? softened(result.reply) : result.reply;
  if (answer.code >= 400 && !(result.kind === "reply" && result.tolerated)) session.errors++;
  if (result.kind === "startTls") return secure(session).then((secured) => !secured);
  return result.kind === "close" || answer.code === 421 || answer.code === 521;
}

/** Input where the client should wait for us (RFC 2920; PIPE-08). True: it is refused for that, the session is over. */
function isOutOfTurn(session: Session, where: string): boolean {
  if (!session.connection.inputPending || (session.earlyTalker && !session.settings.forbidPipelining)) return false;
  session.earlyTalker = true;
  const text = escapeControls(hideCredentials(session.connection.peekPending(EARLY_TALK_SHOWN), session.where));
  session.log.info(`improper command pipelining after ${where} from ${session.peer}: ${text}`, () => ({
    ...clientFields(session, "improper_pipelining"),
    stage: where,
  }));
  if (!session.settings.forbidPipelining) return false;
  session.send(reply(554, "5.5.0", "Error: SMTP protocol synchronization"));
  return true;
}

/** Only AUTH lines may be longer than line_length_limit: clients send whole tokens in them (AUTH-10). */
function limitLength(session: Session, line: ClientLine): string {
  const limit = session.settings.lineLimit;
  if (!line.truncated && (line.text.length <= limit || AUTH_LINE.test(line.text))) return line.text;
  const shown = session.printable(hideInitialResponse(line.text)).slice(0, 30);
  session.log.warning(`${session.peer}: request longer than ${limit}: ${shown}...`);
  return line.text.slice(0, limit);
}

/** The client is gone, silent, or we are being stopped. */
function endSession(session: Session, why: Lost): void {
  const { hostname } = session.settings;
  if (why === "timeout") {
    session.send(reply(421, "4.4.2", `${hostname} Error: timeout exceeded`));
    logEnd(session, "timeout");
  } else if (why === "interrupted") {
    session.send(reply(421, "4.3.2", `${hostname} Service shutting down`));
  } else if (session.where !== "END-OF-MESSAGE") logEnd(session, "lost connection");
}

function logEnd(session: Session, reason: string): void {
  if (session.transcript) session.transcript.reason = reason;
  session.log.info(`${session.logId}: ${reason} after ${session.where} from ${session.peer}`, () =>
    sessionFields(session, reason.replaceAll(" ", "_")),
  );
}
