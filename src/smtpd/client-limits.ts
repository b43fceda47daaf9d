/** smtpd/client-limits.ts: what one client may do, and how often (smtpd_client_*_limit): asks the counters, refuses and
 *  warns as Postfix does. The counting is anvil/'s. One object for each session; for a client that is excepted, or where
 *  no limit is set, nobody is asked anything.
 *
 *  The client may change in a session (XCLIENT): connect() again then leaves the old client and joins the new one, and
 *  events are counted for whoever session.client is. */
import type { Anvil, AnvilEvent } from "../anvil/anvil.ts";
import { clientKey } from "../anvil/client-key.ts";
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import type { ClientEndpoint } from "../mail/client.ts";
import { type Reply, reply } from "../mail/reply.ts";
import type { ClientMatcher } from "./client-matcher.ts";
import { clientFields } from "./log-fields.ts";

/** Limits of one service; 0 is none. */
export interface LimitSettings {
  readonly connections: number;
  readonly connect: number;
  readonly events: Readonly<Record<AnvilEvent, number>>;
  readonly prefixLengths: { readonly ipv4: number; readonly ipv6: number };
  /** Whether any limit is set. */
  readonly any: boolean;
}

export function readLimits(params: Parameters): LimitSettings {
  const connections = params.get("smtpd_client_connection_count_limit");
  const connect = params.get("smtpd_client_connection_rate_limit");
  const events = {
    mail: params.get("smtpd_client_message_rate_limit"),
    rcpt: params.get("smtpd_client_recipient_rate_limit"),
    newtls: params.get("smtpd_client_new_tls_session_rate_limit"),
    auth: params.get("smtpd_client_auth_rate_limit"),
  };
  return {
    connections,
    connect,
    events,
    prefixLengths: {
      ipv4: params.get("smtpd_client_ipv4_prefix_length"),
      ipv6: params.get("smtpd_client_ipv6_prefix_length"),
    },
    any: [connections, connect, ...Object.values(events)].some((limit) => limit > 0),
  };
}

/** Who counts, and who is not counted. */
export interface ClientCounting {
  readonly anvil: Anvil;
  /** smtpd_client_event_limit_exceptions, and who may say XCLIENT. One that fails excepts nobody. */
  readonly isExcepted: ClientMatcher;
}

/** What is to be known of a session. */
export interface Visitor {
  readonly client: ClientEndpoint;
  /** `name[address]` for log lines. */
  readonly peer: string;
}

const WARNINGS: Readonly<Record<AnvilEvent, string>> = {
  mail: "Message delivery request rate limit exceeded",
  rcpt: "Recipient address rate limit exceeded",
  newtls: "New TLS session rate limit exceeded",
  auth: "AUTH command rate limit exceeded",
};

export interface ClientLimitsParts {
  readonly limits: LimitSettings;
  /** undefined: nothing is limited. */
  readonly counting: ClientCounting | undefined;
  readonly serviceName: string;
  readonly hostname: string;
  readonly log: Log;
}

export class ClientLimits {
  readonly #parts: ClientLimitsParts;
  /** Whose key is known. */
  #client: ClientEndpoint | undefined;
  #key: string | undefined;
  /** The key under which this session is counted as a connection. */
  #connected: string | undefined;
  /** Connections of the client when this one was counted, this one included; 0 if it is not. */
  connections = 0;

  constructor(parts: ClientLimitsParts) {
    this.#parts = parts;
  }

  /** Whether the session is counted as a connection: disconnect() must be called. */
  get counted(): boolean {
    return this.#connected !== undefined;
  }

  /** Counts the connection, for this client only. The reply refuses it; the session is over then. */
  connect(visitor: Visitor): Awaitable<Reply | undefined> {
    return this.counted || this.#parts.limits.any ? this.#connect(visitor) : undefined;
  }

  async #connect(visitor: Visitor): Promise<Reply | undefined> {
    const { limits, counting, hostname } = this.#parts;
    await this.disconnect();
    const key = limits.any ? await this.#keyOf(visitor) : undefined;
    if (key === undefined || counting === undefined) return undefined;
    this.#connected = key;
    const { count, rate } = await counting.anvil.connect(key);
    this.connections = count;
    if (limits.connections > 0 && count > limits.connections) {
      this.#warn("Connection concurrency limit exceeded", count, visitor);
    } else if (limits.connect > 0 && rate > limits.connect) {
      this.#warn("Connection rate limit exceeded", rate, visitor);
    } else return undefined;
    return reply(421, "4.7.0", `${hostname} Error: too many connections from ${visitor.client.address}`);
  }

  /** The connection counts no longer. Resolves when its place is free: the client may come back the moment we close. */
  async disconnect(): Promise<void> {
    const key = this.#connected;
    this.#connected = undefined;
    this.connections = 0;
    if (key !== undefined) await this.#parts.counting?.anvil.disconnect(key);
  }

  /** Counts a MAIL command. The reply refuses it. */
  mail(visitor: Visitor): Awaitable<Reply | undefined> {
    return whenKnown(this.#exceeds("mail", visitor), (tooMuch) =>
      tooMuch ? reply(450, "4.7.1", `Error: too much mail from ${visitor.client.address}`) : undefined,
    );
  }

  /** Counts a RCPT command. The reply refuses it. */
  rcpt(visitor: Visitor): Awaitable<Reply | undefined> {
    return whenKnown(this.#exceeds("rcpt", visitor), (tooMany) =>
      tooMany ? reply(450, "4.7.1", `Error: too many recipients from ${visitor.client.address}`) : undefined,
    );
  }

  /** Counts an AUTH command. The reply refuses it. */
  async auth(visitor: Visitor): Promise<Reply | undefined> {
    if (!(await this.#exceeds("auth", visitor))) return undefined;
    return reply(450, "4.7.1", `Error: too many AUTH commands from ${visitor.client.address}`);
  }

  /** Counts a TLS handshake that was not a resumption, also one that failed. The reply ends the session. */
  async newTls(visitor: Visitor): Promise<Reply | undefined> {
    if (!(await this.#exceeds("newtls", visitor))) return undefined;
    return reply(421, "4.7.0", `${this.#parts.hostname} Error: too many new TLS sessions from ${visitor.peer}`);
  }

  /** Whether the client has negotiated too many TLS sessions to be offered another; counts nothing. `what` is refused:
   *  "STARTTLS request", "TLS service request". */
  async refusesTls(visitor: Visitor, what: string): Promise<boolean> {
    const { limits, counting, serviceName, log } = this.#parts;
    const limit = limits.events.newtls;
    const key = limit > 0 ? await this.#keyOf(visitor) : undefined;
    if (key === undefined || counting === undefined) return false;
    if ((await counting.anvil.peek("newtls", key)) <= limit) return false;
    log.warning(`Refusing ${what} from ${visitor.peer} for service ${serviceName}`);
    return true;
  }

  #exceeds(event: AnvilEvent, visitor: Visitor): Awaitable<boolean> {
    const limit = this.#parts.limits.events[event];
    return limit > 0 && this.#count(event, limit, visitor);
  }

  async #count(event: AnvilEvent, limit: number, visitor: Visitor): Promise<boolean> {
    const { counting } = this.#parts;
    const key = await this.#keyOf(visitor);
    if (key === undefined || counting === undefined) return false;
    const rate = await counting.anvil.count(event, key);
    if (rate <= limit) return false;
    this.#warn(WARNINGS[event], rate, visitor);
    return true;
  }

  /** undefined: the client is excepted. */
  async #keyOf({ client }: Visitor): Promise<string | undefined> {
    const { counting, serviceName, limits } = this.#parts;
    if (counting === undefined || this.#client === client) return this.#key;
    const excepted = (await counting.isExcepted(client)) === true;
    this.#client = client;
    this.#key = excepted ? undefined : clientKey(serviceName, client.address, limits.prefixLengths);
    return this.#key;
  }

  #warn(what: string, value: number, { peer, client }: Visitor): void {
    this.#parts.log.warning(`${what}: ${value} from ${peer} for service ${this.#parts.serviceName}`, () => ({
      ...clientFields({ client }, "limit_exceeded"),
      limit: what,
      value,
      service: this.#parts.serviceName,
    }));
  }
}
