/** smtpd/create.ts: an SMTP service: takes accepted sockets, keeps count of its sessions, ends them when asked. */
import { formatReply, reply } from "../mail/reply.ts";
import { Connection, type Socket } from "../net/connection.ts";
import { converse } from "./dialogue.ts";
import type { Smtpd, SmtpdOptions } from "./options.ts";
import { Session } from "./session.ts";
import { readSettings, type SmtpdSettings } from "./settings.ts";

export type { Smtpd, SmtpdOptions } from "./options.ts";
export { serverTlsInput } from "./tls-session.ts";

/** How long drain() lets a transaction go on. */
const DEFAULT_GRACE_MS = 10_000;
/** Room for "AUTH MECHANISM " in front of the longest initial response. */
const AUTH_OVERHEAD = 64;
/** How long after the last 421 a connection may still linger. */
const LAST_WORDS_MS = 6_000;

/** Throws ParameterError for bad parameter values. */
export function createSmtpd(options: SmtpdOptions): Smtpd {
  return new Service(options);
}

class Service implements Smtpd {
  readonly #options: SmtpdOptions;
  readonly #settings: SmtpdSettings;
  readonly #lineLimit: number;
  readonly #sessions = new Set<Session>();
  #idle: (() => void)[] = [];
  #draining = false;

  constructor(options: SmtpdOptions) {
    this.#options = options;
    this.#settings = readSettings(options.params);
    this.#lineLimit = Math.max(this.#settings.lineLimit, this.#settings.saslResponseLimit + AUTH_OVERHEAD);
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  accept(socket: Socket): void {
    if (this.#draining || socket.remoteAddress === undefined) {
      this.#turnAway(socket);
      return;
    }
    const { deadlines } = this.#options;
    const connection = new Connection(socket, {
      deadlines,
      lineLimit: this.#lineLimit,
      implicitTls: this.#settings.tlsWrapper,
      proxyHeader: this.#settings.proxyHeaderMs !== undefined,
    });
    const log = this.#options.log(this.#options.nextSessionId());
    const session = new Session({ options: this.#options, settings: this.#settings, connection, log });
    this.#sessions.add(session);
    void converse(session).then(
      () => this.#forget(session),
      (bug: unknown) => {
        log.error(`Session of ${session.peer} failed to close: ${session.printable(String(bug))}`);
        connection.destroy();
        this.#forget(session);
      },
    );
  }

  async drain(graceMs = DEFAULT_GRACE_MS): Promise<void> {
    this.#draining = true;
    for (const session of this.#sessions) {
      session.draining = true;
      if (session.transaction === undefined) session.connection.interrupt();
    }
    await this.#idleWithin(graceMs);
    for (const session of this.#sessions) {
      session.mustEnd = true;
      session.connection.interrupt();
    }
    await this.#idleWithin(LAST_WORDS_MS);
    for (const session of this.#sessions) session.connection.destroy();
    await this.idle();
  }

  idle(): Promise<void> {
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  async #idleWithin(limitMs: number): Promise<void> {
    if (this.#sessions.size === 0) return;
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = clock.after(limitMs, resolve);
      this.#idle.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #forget(session: Session): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  #turnAway(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    const text = formatReply(reply(421, "4.3.2", `${this.#settings.hostname} Service shutting down`));
    if (this.#settings.tlsWrapper) socket.destroy();
    else socket.end(text, () => socket.destroy());
  }
}
