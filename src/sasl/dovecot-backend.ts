/** sasl/dovecot-backend.ts: smtpd_sasl_type = dovecot. Passes exchanges on to Dovecot's auth service, which knows the
 *  mechanisms and the passwords. Whatever goes wrong on the way there is a temporary failure. */
import { resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import { ParameterError } from "../config/declare.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { SocketTarget } from "../net/socket-client.ts";
import type { SaslBackend, SaslContext, SaslExchange, SaslStep } from "./backend.ts";
import { denied, EMPTY, undecided } from "./conversation.ts";
import { DovecotLink, type LinkReply } from "./dovecot-link.ts";
import { formatAuth, formatCont } from "./dovecot-wire.ts";

export interface DovecotBackendOptions {
  /** smtpd_sasl_path. */
  readonly path: string;
  /** Relative paths begin here. */
  readonly queueDirectory: string;
  /** smtpd_sasl_service. */
  readonly service: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Begins to connect at once. Throws ParameterError for a path that names no socket. */
export function createDovecotBackend(options: DovecotBackendOptions): SaslBackend {
  const { path, queueDirectory, service, clock, log } = options;
  const target = parseDovecotPath(path, queueDirectory);
  if (target === undefined) {
    throw new ParameterError(
      `bad configuration: smtpd_sasl_path = ${path}; specify inet:host:port, unix:path or a path`,
    );
  }
  const link = new DovecotLink({ target, name: path, clock, log });
  return {
    mechanisms: () => link.mechanisms,
    start(name, context) {
      const known = link.mechanisms.find((mechanism) => mechanism.name === name.toUpperCase());
      if (known === undefined) return undefined;
      return new DovecotExchange({ link, mechanism: known.name, service, context });
    },
    async close() {
      link.close();
    },
  };
}

/** `inet:host:port`, `inet:[ipv6]:port`, `unix:path` or a path; undefined for anything else. */
export function parseDovecotPath(path: string, queueDirectory: string): SocketTarget | undefined {
  const inet = /^inet:(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(path);
  if (inet !== null) {
    const port = Number(inet[3]);
    if (port < 1 || port > 65_535) return undefined;
    return { kind: "tcp", host: inet[1] ?? inet[2] ?? "", port };
  }
  const name = path.replace(/^unix:/, "");
  if (path.startsWith("inet:") || name === "") return undefined;
  return { kind: "unix", path: resolve(queueDirectory, name) };
}

const LOST = "Connection lost to authentication server";

interface ExchangeOptions {
  readonly link: DovecotLink;
  readonly mechanism: string;
  readonly service: string;
  readonly context: SaslContext;
}

/** States: fresh (no id), asked (id, epoch), over. */
class DovecotExchange implements SaslExchange {
  readonly #options: ExchangeOptions;
  #id: number | undefined;
  #epoch = 0;
  #over = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  async next(response: Uint8Array | undefined): Promise<SaslStep> {
    if (this.#over) return denied();
    const reply = this.#id === undefined ? await this.#begin(response) : await this.#continue(this.#id, response);
    const step = this.#stepOf(reply);
    if (step.kind !== "challenge") this.#over = true;
    return step;
  }

  close(): void {
    if (this.#id !== undefined && !this.#over) this.#options.link.cancel(this.#id);
    this.#over = true;
  }

  /** A connection that broke since the last login is found out by the first line on it, so that line gets a second try. */
  async #begin(initial: Uint8Array | undefined): Promise<LinkReply> {
    const { link } = this.#options;
    let reply: LinkReply = { kind: "lost" };
    for (let attempt = 0; attempt < 2 && reply.kind === "lost" && !this.#over; attempt++) {
      if (!(await link.ready()) || this.#over) break;
      const id = link.newId();
      this.#id = id;
      this.#epoch = link.epoch;
      reply = await link.ask(id, formatAuth({ ...this.#options, id, initial }));
      // Slow, not broken: asking again would take the client another 10 s.
      if (reply.kind === "lost" && link.epoch === this.#epoch && (await this.#stillUp())) break;
    }
    return reply;
  }

  async #stillUp(): Promise<boolean> {
    return (await this.#options.link.ready()) && this.#options.link.epoch === this.#epoch;
  }

  async #continue(id: number, response: Uint8Array | undefined): Promise<LinkReply> {
    const { link } = this.#options;
    if (link.epoch !== this.#epoch) return { kind: "lost" };
    return link.ask(id, formatCont(id, response ?? EMPTY));
  }

  #stepOf(reply: LinkReply): SaslStep {
    if (reply.kind === "lost") return undecided(LOST);
    if (reply.kind === "continue") return { kind: "challenge", challenge: reply.challenge };
    if (reply.kind === "fail") {
      const reason = reply.reason === undefined || reply.reason === "" ? "(reason unavailable)" : reply.reason;
      return { kind: "failure", temporary: reply.temporary, reason: printableUtf8(reason), username: reply.username };
    }
    const username = reply.username ?? "";
    // A name that cannot be shown as it is must not become an identity.
    if (username === "" || printableUtf8(username) !== username)
      return undecided("authentication server gave no user name");
    return { kind: "success", identity: { method: this.#options.mechanism, username } };
  }
}
