/** policy/client.ts: asks one policy server: tries, retries and the time limit of a whole request (postfix.md §4.3).
 *  A failure on a connection that had answered before is no try: the server may have closed it, as it may at any time. */
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { requestLines } from "./attributes.ts";
import type { Exchange, PolicyConnection } from "./connection.ts";
import { ConnectionPool } from "./connection-pool.ts";
import type { PolicyAnswer, PolicyRequest, PolicyServers, PolicyService } from "./policy.ts";
import { parseServiceSettings, type ServiceSettings } from "./service-settings.ts";

export interface ClientDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Log;
}

/** The policy servers of one service of master.cf. */
export function createPolicyServers(options: ClientDeps & { readonly params: Parameters }): PolicyServers {
  const clients = new Map<string, PolicyClient>();
  return {
    open(argument) {
      const known = clients.get(argument);
      if (known !== undefined) return known;
      const client = new PolicyClient(parseServiceSettings(argument, options.params), options);
      clients.set(argument, client);
      return client;
    },
    async close() {
      for (const client of clients.values()) client.close();
    },
  };
}

/** A server that cannot be asked, for where there are no policy servers (`postern check`, tests). Throws ParameterError. */
export function unreachableService(argument: string, params: Parameters): PolicyService {
  const { name, defaultAction, policyContext } = parseServiceSettings(argument, params);
  const answer: PolicyAnswer = { kind: "failed", why: "policy servers are not asked here" };
  return { name, defaultAction, policyContext, ask: () => Promise.resolve(answer) };
}

export class PolicyClient implements PolicyService {
  readonly #settings: ServiceSettings;
  readonly #deps: ClientDeps;
  readonly #pool: ConnectionPool;
  readonly #asking = new Set<AbortController>();
  #isClosed = false;

  constructor(settings: ServiceSettings, deps: ClientDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#pool = new ConnectionPool({ settings, ...deps });
  }

  get name(): string {
    return this.#settings.name;
  }

  get defaultAction(): string {
    return this.#settings.defaultAction;
  }

  get policyContext(): string {
    return this.#settings.policyContext;
  }

  /** Open connections, for tests. */
  get connections(): number {
    return this.#pool.size;
  }

  async ask(request: PolicyRequest): Promise<PolicyAnswer> {
    const lines = requestLines(request);
    const limit = new AbortController();
    const deadline = this.#deps.deadlines.open(() => limit.abort());
    deadline.arm(this.#settings.timeoutMs);
    this.#asking.add(limit);
    try {
      return await this.#persist(lines, limit.signal);
    } finally {
      this.#asking.delete(limit);
      deadline.close();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#pool.close();
    for (const limit of this.#asking) limit.abort();
  }

  async #persist(lines: readonly string[], signal: AbortSignal): Promise<PolicyAnswer> {
    const { endpoint, tryLimit, retryDelayMs } = this.#settings;
    const { log, clock } = this.#deps;
    for (let tries = 1; ; tries++) {
      const result = await this.#try(lines, signal);
      if (result.kind === "answer") {
        const { unexpected, action } = result;
        if (unexpected !== undefined) {
          log.warning(`unexpected attribute ${printableAscii(unexpected)} from ${endpoint} (expecting: action)`);
        }
        return { kind: "answer", action };
      }
      if (this.#isClosed) return { kind: "failed", why: result.why };
      log.warning(printableAscii(result.warning));
      log.warning(`problem talking to server ${endpoint}: ${printableAscii(result.why)}`, {
        event: "policy_failed",
        server: endpoint,
        reason: printableAscii(result.why),
      });
      if (tries >= tryLimit || signal.aborted || !(await pause(clock, retryDelayMs, signal))) {
        return { kind: "failed", why: result.why };
      }
    }
  }

  async #try(lines: readonly string[], signal: AbortSignal): Promise<Exchange> {
    const connection = await this.#pool.take(signal);
    if (connection === undefined) return this.#noConnection(signal);
    const reused = connection.answered > 0;
    const result = await exchangeWithin(connection, lines, signal);
    if (result.kind === "answer" || !reused || signal.aborted) {
      this.#pool.giveBack(connection);
      return result;
    }
    const fresh = this.#pool.replace(connection);
    if (fresh === undefined) return result;
    const second = await exchangeWithin(fresh, lines, signal);
    this.#pool.giveBack(fresh);
    return second;
  }

  #noConnection(signal: AbortSignal): Exchange {
    const { endpoint } = this.#settings;
    const why = signal.aborted ? "Connection timed out" : "Resource temporarily unavailable";
    return { kind: "failed", why, warning: `no free connection to ${endpoint}` };
  }
}

/** The exchange, abandoned when the signal comes first. */
async function exchangeWithin(
  connection: PolicyConnection,
  lines: readonly string[],
  signal: AbortSignal,
): Promise<Exchange> {
  const stop = () => connection.abandon();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await connection.exchange(lines);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** False when the signal ended the wait. */
async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(delayMs, signal);
    return true;
  } catch (stopped) {
    if (!signal.aborted) throw stopped;
    return false;
  }
}
