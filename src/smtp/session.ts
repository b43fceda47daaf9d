/** smtp/session.ts: one conversation with one server, from the TCP connection until QUIT; carries many deliveries.
 *  Getting it ready is handshake.ts, a delivery is transaction.ts, keeping it for later session-cache.ts. */
import type { Log } from "../log/log.ts";
import type { TlsSession } from "../mail/client.ts";
import { type ClientConnection, MAX_LINE_BYTES } from "../net/client-connection.ts";
import type { NameOrigin } from "./host-lookup.ts";
import { type PeerReply, type ReplyRules, readReply, type SharedReplyRules } from "./reply.ts";
import type { Protocol } from "./settings.ts";
import type { TlsFailure } from "./tls-tally.ts";

const EHLO_MAPS = "smtp_discard_ehlo_keyword_address_maps";
const LHLO_MAPS = "lmtp_discard_lhlo_keyword_address_maps";

/** One address of one host that may take the mail. */
export interface Target {
  /** As in the MX record or next hop; lower case. */
  readonly host: string;
  /** IP address, or the path of a UNIX-domain socket. */
  readonly address: string;
  /** undefined for a UNIX-domain socket. */
  readonly port: number | undefined;
  /** The next hop item that led here: key of passwords and TLS policies. */
  readonly nexthop: string;
  /** Nothing better is known for the next hop: only then the session may be kept for it. */
  readonly best: boolean;
  /** How its names were found, where the name service validates. */
  readonly origin?: TargetOrigin | undefined;
}

/** What DNSSEC says of the way to an address. */
export interface TargetOrigin {
  /** Of the list of mail exchangers; undefined: the next hop is the host itself. */
  readonly mx?: NameOrigin | undefined;
  /** Of the host's addresses. */
  readonly host: NameOrigin;
}

/** `host[address]`, as in "host … said". */
export function formatHost(target: Target): string {
  return `${target.host}[${target.address}]`;
}

/** `host[address]:port`, as in `relay=`. */
export function formatRelay(target: Target): string {
  return target.port === undefined ? formatHost(target) : `${formatHost(target)}:${target.port}`;
}

export interface SessionOptions {
  readonly connection: ClientConnection;
  readonly target: Target;
  readonly openedMs: number;
  readonly log: Log;
  readonly protocol: Protocol;
  readonly replies: SharedReplyRules;
}

/** "skipped": not to be counted. */
export type TlsResult = "success" | "skipped" | Pick<TlsFailure, "type" | "reason">;

export class Session {
  readonly connection: ClientConnection;
  readonly target: Target;
  readonly host: string;
  readonly relay: string;
  readonly openedMs: number;
  /** Extensions by upper-case keyword, parameters behind it; empty after HELO. */
  features: ReadonlyMap<string, string> = new Map();
  tls: TlsSession | undefined;
  /** The certificate is what was demanded, and something was. */
  verified = false;
  /** How TLS went, for reports; undefined: it was not tried. */
  tlsResult: TlsResult | undefined;
  /** connection_reuse= of the TLS policy; undefined: as other settings say. */
  reuse: boolean | undefined;
  /** Deliveries carried, the present one included. */
  uses = 0;
  /** Of recipients so far, where the server limits their number. */
  readonly domains = new Set<string>();
  /** What is being done, for "lost connection … while …". */
  phase = "receiving the initial server greeting";
  /** A transaction was left unfinished: RSET before the next. */
  needsReset = false;
  /** Of the message it works for, for the log. */
  queueId = "";
  readonly #log: Log;
  readonly #protocol: Protocol;
  readonly #rules: ReplyRules;

  constructor(options: SessionOptions) {
    this.#log = options.log;
    this.#protocol = options.protocol;
    const { filter, now } = options.replies;
    this.#rules = {
      filter: filter && ((line) => filter(line, this.queueId)),
      now,
      odd: (what, line) => this.#warn(what, line),
    };
    this.connection = options.connection;
    this.target = options.target;
    this.openedMs = options.openedMs;
    this.host = formatHost(options.target);
    this.relay = formatRelay(options.target);
  }

  /** Reads a reply. Rejects ConnectionError. */
  async reply(phase: string, timeoutMs: number): Promise<PeerReply> {
    this.phase = phase;
    return readReply(this.connection, timeoutMs, this.#rules);
  }

  /** Sends one command, without its line end, and reads the reply. Rejects ConnectionError. */
  async command(line: string, phase: string, timeoutMs: number): Promise<PeerReply> {
    this.phase = phase;
    const slow = this.connection.write(`${line}\r\n`, timeoutMs);
    if (slow) await slow;
    return this.reply(phase, timeoutMs);
  }

  /** Logs something about the present message. */
  note(text: string): void {
    this.#log.info(`${this.queueId}: ${text}`);
  }

  /** In Postfix's words. */
  #warn(what: "long" | "garbage", line: string): void {
    if (what === "long") {
      this.#log.warning(`${this.relay}: response longer than ${MAX_LINE_BYTES}: ${line.slice(0, 30)}...`);
      return;
    }
    const protocol = this.#protocol === "lmtp" ? "LMTP" : "ESMTP";
    this.#log.warning(`${this.queueId}: non-${protocol} response from ${this.relay}: ${line.slice(0, 100)}`);
    if (!this.features.has("PIPELINING")) return;
    const parameter = this.#protocol === "lmtp" ? LHLO_MAPS : EHLO_MAPS;
    const { address } = this.target;
    this.#log.warning(
      `to prevent loss of mail, turn off command pipelining for ${address} with the ${parameter} parameter`,
    );
  }

  /** Polite end; waits for nothing (smtp_skip_quit_response). */
  quit(): void {
    this.connection.end("QUIT\r\n");
  }
}
