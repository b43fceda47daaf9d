/** policy/serve.ts: a policy server from one function (library postern/policy). Reads requests, asks the handler, writes
 *  the answers in the order of the requests. A handler that throws, takes too long or answers what is no action gives the
 *  default action, and a line in the log: no failure lets anything pass. */
import { isAbsolute } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import { parseInetService } from "../config/inet-name.ts";
import { printableAscii } from "../mail/printable.ts";
import { type LinePeer, type LineReceiver, startLineServer } from "../net/line-server.ts";
import type { SocketTarget } from "../net/socket-client.ts";
import { checkAction } from "./actions.ts";
import { MAX_REQUEST_LINES, type PolicyQuery, parseRequestLines } from "./query.ts";

/** Bytes of a request line: longer than any address or name that a mail server takes. */
const LINE_LIMIT_BYTES = 8192;
/** Longer than Postfix and Postern keep a connection (smtpd_policy_service_max_ttl). */
const IDLE_MS = 20 * 60_000;

/** Decides about one request. `signal` is aborted when its time is over. */
export type PolicyHandler = (query: PolicyQuery, signal: AbortSignal) => string | Promise<string>;

export interface ServeOptions {
  /** A path ("/run/policy/socket", "unix:/run/policy/socket") or "host:port" ("127.0.0.1:10040", "[::1]:0"); port 0 picks one. */
  readonly listen: string;
  /** Mode of the socket file, e.g. 0o660; by default what the umask gives. The mail server's account must be able to write. */
  readonly socketMode?: number;
  /** What is answered when the handler fails. Default: DEFER_IF_PERMIT 4.3.5 Policy service is not available. */
  readonly defaultAction?: string;
  /** Milliseconds for one decision. Default 30 000; keep it below smtpd_policy_service_timeout (100 s). */
  readonly timeoutMs?: number;
  /** Default 200. */
  readonly maxConnections?: number;
  /** Requests of one connection that are decided at the same time; further ones wait unread. Default 10. */
  readonly maxInFlight?: number;
  /** Takes one line for each failure. Default: console.error. */
  readonly log?: (line: string) => void;
  readonly clock?: Clock;
}

export interface RunningPolicy {
  /** As check_policy_service wants it: "inet:127.0.0.1:10040", "unix:/run/policy/socket". */
  readonly address: string;
  /** Answers what was asked, takes nothing more; resolves when all connections have ended. */
  close(): Promise<void>;
}

interface Settings {
  readonly handler: PolicyHandler;
  readonly defaultAction: string;
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly log: (line: string) => void;
  readonly clock: Clock;
}

/** Starts serving. Rejects when it cannot listen; throws PolicyActionError for a default action that is none. */
export async function serve(handler: PolicyHandler, options: ServeOptions): Promise<RunningPolicy> {
  const log = options.log ?? ((line: string) => console.error(line));
  const settings: Settings = {
    handler,
    defaultAction: checkAction(options.defaultAction ?? "DEFER_IF_PERMIT 4.3.5 Policy service is not available"),
    timeoutMs: options.timeoutMs ?? 30_000,
    maxInFlight: Math.max(1, options.maxInFlight ?? 10),
    log,
    clock: options.clock ?? systemClock,
  };
  const server = await startLineServer({
    listen: parseListen(options.listen),
    socketMode: options.socketMode,
    lineLimitBytes: LINE_LIMIT_BYTES,
    maxConnections: options.maxConnections ?? 200,
    idleMs: IDLE_MS,
    onConnection: (peer) => new Conversation(peer, settings),
    onError: (error) => log(`policy: cannot accept connections: ${printableAscii(error.message)}`),
  });
  return { address: addressOf(server.target), close: () => server.close() };
}

function parseListen(listen: string): SocketTarget {
  const path = listen.startsWith("unix:") ? listen.slice(5) : listen;
  if (isAbsolute(path)) return { kind: "unix", path };
  const inet = parseInetService(listen.replace(/^inet:/, ""), "");
  if (inet === undefined || listen.startsWith("unix:")) {
    throw new TypeError(`Cannot listen on "${listen}": need an absolute path or host:port`);
  }
  return { kind: "tcp", host: inet.host ?? "127.0.0.1", port: inet.port };
}

function addressOf(target: SocketTarget): string {
  if (target.kind === "unix") return `unix:${target.path}`;
  return `inet:${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
}

/** One connection. Requests are decided side by side and answered in order. */
class Conversation implements LineReceiver {
  readonly #peer: LinePeer;
  readonly #settings: Settings;
  #lines: string[] = [];
  #inFlight = 0;
  #answers: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(peer: LinePeer, settings: Settings) {
    this.#peer = peer;
    this.#settings = settings;
  }

  onLine(line: string): void {
    if (this.#isEnding) return;
    if (line !== "") {
      this.#lines.push(line);
      if (this.#lines.length > MAX_REQUEST_LINES) this.#refuse(`more than ${MAX_REQUEST_LINES} lines`);
      return;
    }
    const parsed = parseRequestLines(this.#lines);
    this.#lines = [];
    if (parsed.kind === "malformed") this.#refuse(parsed.why);
    else this.#take(parsed.query);
  }

  onEnd(): void {
    this.#isEnding = true;
    if (this.#inFlight === 0) this.#peer.finish();
  }

  /** What is no policy client gets no answer, only those before it do. */
  #refuse(why: string): void {
    this.#settings.log(`policy: malformed request: ${printableAscii(why)}`);
    this.onEnd();
  }

  #take(query: PolicyQuery): void {
    this.#inFlight++;
    if (this.#inFlight >= this.#settings.maxInFlight) this.#peer.hold();
    const action = decide(query, this.#settings);
    this.#answers = this.#answers.then(async () => {
      this.#peer.send(`action=${await action}\n\n`);
      this.#inFlight--;
      if (this.#isEnding && this.#inFlight === 0) this.#peer.finish();
      else this.#peer.resume();
    });
  }
}

/** The handler's action or the default; never rejects. */
async function decide(query: PolicyQuery, settings: Settings): Promise<string> {
  const { handler, defaultAction, timeoutMs, log, clock } = settings;
  const limit = new AbortController();
  const late = Promise.withResolvers<never>();
  const timer = clock.after(timeoutMs, () => {
    limit.abort();
    late.reject(new Error(`no decision within ${timeoutMs} ms`));
  });
  try {
    return checkAction(await Promise.race([runHandler(handler, query, limit.signal), late.promise]));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log(`policy: handler failed: ${printableAscii(why)}; answered ${defaultAction}`);
    return defaultAction;
  } finally {
    timer.cancel();
  }
}

/** Also a handler that throws at once gives a promise. */
async function runHandler(handler: PolicyHandler, query: PolicyQuery, signal: AbortSignal): Promise<string> {
  return handler(query, signal);
}
