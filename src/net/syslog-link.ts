/** net/syslog-link.ts: messages to one syslog server over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425). Never blocks:
 *  while the server is away messages wait up to a bound, above it they are refused. Connects again with growing pauses.
 *  Syslog has no acknowledgement: what a dying connection had taken is gone. Knows nothing of what a message says. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import net from "node:net";
import tls from "node:tls";
import type { Clock, Timer } from "../base/clock.ts";

const MAX_WAITING_BYTES = 4 * 1024 * 1024;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** What a close leaves for messages that wait. */
const CLOSE_GRACE_MS = 1000;

export interface SyslogLinkOptions {
  readonly server: { readonly transport: "udp" | "tcp" | "tls"; readonly host: string; readonly port: number };
  /** Certificates a TLS server is trusted by; undefined: the public ones. */
  readonly authorities?: string | undefined;
  readonly clock: Clock;
  /** Once when the server goes away (with the reason), once when it is back (undefined). */
  readonly onState: (why: string | undefined) => void;
}

/** A connection that takes whole messages. */
interface Carrier {
  write(message: Buffer): void;
  waitingBytes(): number;
  /** Sends what it has taken and closes. */
  end(): void;
  destroy(): void;
}

interface CarrierEvents {
  readonly ready: () => void;
  /** At most once counts; nothing more is sent. */
  readonly gone: (why: string) => void;
  readonly closed: () => void;
}

export class SyslogLink {
  readonly #options: SyslogLinkOptions;
  #carrier: Carrier | undefined;
  #ready = false;
  #told = false;
  #pauseMs = FIRST_PAUSE_MS;
  #retry: Timer | undefined;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #closed: (() => void) | undefined;

  constructor(options: SyslogLinkOptions) {
    this.#options = options;
    this.#connect();
  }

  /** Takes a message, framed by the caller on streams; false: there is no room, it is lost. */
  send(message: Buffer): boolean {
    const inCarrier = this.#ready ? (this.#carrier?.waitingBytes() ?? 0) : 0;
    if (this.#waitingBytes + inCarrier + message.length > MAX_WAITING_BYTES) return false;
    if (this.#ready) this.#carrier?.write(message);
    else {
      this.#waiting.push(message);
      this.#waitingBytes += message.length;
    }
    return true;
  }

  /** Waits up to a second for messages on their way. */
  close(): Promise<void> {
    this.#retry?.cancel();
    return new Promise((resolve) => {
      const late = this.#options.clock.after(CLOSE_GRACE_MS, () => {
        this.#carrier?.destroy();
        resolve();
      });
      this.#closed = () => {
        late.cancel();
        resolve();
      };
      if (this.#ready) this.#carrier?.end();
      else if (!this.#carrier) this.#closed();
    });
  }

  #connect(): void {
    const { server, authorities } = this.#options;
    const carrier = (server.transport === "udp" ? udpCarrier : streamCarrier)(server, authorities, {
      ready: () => this.#opened(carrier),
      gone: (why) => this.#lost(carrier, why),
      closed: () => this.#closed?.(),
    });
    this.#carrier = carrier;
  }

  #opened(carrier: Carrier): void {
    this.#ready = true;
    this.#pauseMs = FIRST_PAUSE_MS;
    for (const message of this.#waiting) carrier.write(message);
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#told) this.#options.onState(undefined);
    this.#told = false;
    if (this.#closed) carrier.end();
  }

  #lost(carrier: Carrier, why: string): void {
    if (this.#carrier !== carrier) return;
    carrier.destroy();
    this.#carrier = undefined;
    this.#ready = false;
    if (this.#closed) {
      this.#closed();
      return;
    }
    if (!this.#told) this.#options.onState(why);
    this.#told = true;
    this.#retry = this.#options.clock.after(this.#pauseMs, () => this.#connect(), { ref: false });
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
  }
}

function streamCarrier(server: SyslogLinkOptions["server"], ca: string | undefined, on: CarrierEvents): Carrier {
  const { host, port } = server;
  const socket =
    server.transport === "tls"
      ? tls.connect({ host, port, minVersion: "TLSv1.2", ...(ca !== undefined && { ca }), ...serverName(host) })
      : net.connect({ host, port });
  socket.setNoDelay(true);
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error("connect: timed out")));
  socket.once(server.transport === "tls" ? "secureConnect" : "connect", () => {
    socket.setTimeout(0);
    on.ready();
  });
  socket.resume(); // a syslog server says nothing; its end must be seen
  socket.on("error", (error) => on.gone(error.message));
  socket.on("close", () => {
    on.gone("connection closed");
    on.closed();
  });
  return {
    write: (message) => socket.write(message),
    waitingBytes: () => socket.writableLength,
    end: () => socket.end(),
    destroy: () => socket.destroy(),
  };
}

/** No SNI for an address (RFC 6066 §3); the certificate is checked against the host either way. */
function serverName(host: string): { readonly servername?: string } {
  return net.isIP(host) ? {} : { servername: host };
}

function udpCarrier({ host, port }: SyslogLinkOptions["server"], _ca: string | undefined, on: CarrierEvents): Carrier {
  let socket: UdpSocket | undefined;
  let gone = false;
  let ending = false;
  let onTheWay = 0;
  const open = async () => {
    const { address, family } = await lookup(host);
    if (gone) return;
    socket = createSocket(family === 6 ? "udp6" : "udp4");
    socket.on("error", (error) => on.gone(error.message));
    socket.connect(port, address, on.ready);
  };
  open().catch((error: Error) => on.gone(error.message));
  const close = () => {
    if (gone) return;
    gone = true;
    if (socket) socket.close(on.closed);
    else on.closed();
  };
  const sent = (error: Error | null) => {
    onTheWay--;
    // Nobody listens (ECONNREFUSED): the name is looked up again, as it may have moved.
    if (error && !gone) on.gone(error.message);
    else if (ending && onTheWay === 0) close();
  };
  return {
    write(message) {
      if (gone) return;
      onTheWay++;
      socket?.send(message, sent);
    },
    waitingBytes: () => (gone ? 0 : (socket?.getSendQueueSize() ?? 0)),
    end() {
      ending = true;
      if (onTheWay === 0) close();
    },
    destroy: close,
  };
}
