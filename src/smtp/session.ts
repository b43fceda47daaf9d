/** smtp/session.ts: one conversation with one server, from the TCP connection until QUIT; carries many deliveries.
 *  Getting it ready is handshake.ts, a delivery is transaction.ts, keeping it for later session-cache.ts. */
import type { TlsSession } from "../mail/client.ts";
import type { ClientConnection } from "../net/client-connection.ts";
import { type PeerReply, readReply } from "./reply.ts";

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
}

/** `host[address]`, as in "host … said". */
export function formatHost(target: Target): string {
  return `${target.host}[${target.address}]`;
}

/** `host[address]:port`, as in `relay=`. */
export function formatRelay(target: Target): string {
  return target.port === undefined ? formatHost(target) : `${formatHost(target)}:${target.port}`;
}

export class Session {
  readonly connection: ClientConnection;
  readonly target: Target;
  readonly host: string;
  readonly relay: string;
  readonly openedMs: number;
  /** Extensions by upper-case keyword, parameters behind it; empty after HELO. */
  features: ReadonlyMap<string, string> = new Map();
  tls: TlsSession | undefined;
  /** connection_reuse= of the TLS policy; undefined: as other settings say. */
  reuse: boolean | undefined;
  /** Deliveries carried, the present one included. */
  uses = 0;
  /** What is being done, for "lost connection … while …". */
  phase = "receiving the initial server greeting";
  /** A transaction was left unfinished: RSET before the next. */
  needsReset = false;

  constructor(options: { connection: ClientConnection; target: Target; openedMs: number }) {
    this.connection = options.connection;
    this.target = options.target;
    this.openedMs = options.openedMs;
    this.host = formatHost(options.target);
    this.relay = formatRelay(options.target);
  }

  /** Reads a reply. Rejects ConnectionError. */
  async reply(phase: string, timeoutMs: number): Promise<PeerReply> {
    this.phase = phase;
    return readReply(this.connection, timeoutMs);
  }

  /** Sends one command, without its line end, and reads the reply. Rejects ConnectionError. */
  async command(line: string, phase: string, timeoutMs: number): Promise<PeerReply> {
    this.phase = phase;
    const slow = this.connection.write(`${line}\r\n`, timeoutMs);
    if (slow) await slow;
    return this.reply(phase, timeoutMs);
  }

  /** Polite end; waits for nothing (smtp_skip_quit_response). */
  quit(): void {
    this.connection.end("QUIT\r\n");
  }
}
