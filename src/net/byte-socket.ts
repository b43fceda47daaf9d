/** net/byte-socket.ts: a client's connection to a unix or TCP peer that gives and takes bytes, with TLS on request (LDAP,
 *  memcache, socketmap). The line protocols' client is socket-client.ts. Knows no protocol, has no timeouts and does not
 *  reconnect; the owner does. Bounded to the outside: a peer that does not read ends the connection. */
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { type SocketTarget, systemText } from "./socket-client.ts";

export interface ByteSocketOptions {
  readonly target: SocketTarget;
  /** Most bytes that may wait to be sent. */
  readonly sendLimitBytes: number;
  /** Connected; after startTls() once more, when the handshake is done. */
  readonly onOpen: () => void;
  readonly onBytes: (chunk: Buffer) => void;
  /** At most once, and never after close(): could not connect, or the connection ended. `reason` is the system's. */
  readonly onClose: (reason: string) => void;
}

/** TLS as a client. Keys and certificates are PEM. */
export interface ClientTls {
  /** Host name or address that the certificate must be for, if it is verified. */
  readonly serverName: string;
  readonly verify: boolean;
  /** Instead of the system's list. */
  readonly ca?: Uint8Array | undefined;
  readonly cert?: Uint8Array | undefined;
  readonly key?: Uint8Array | undefined;
  /** OpenSSL's cipher list; Node's default if not given. */
  readonly ciphers?: string | undefined;
}

export interface ByteSocket {
  send(bytes: Uint8Array): void;
  /** Begins the handshake on the open connection. What is wrong with it, keys included, arrives by onClose(). */
  startTls(tls: ClientTls): void;
  /** Resolves when the peer has read most of what was sent, or the connection has ended; undefined: little waits. */
  drained(): Promise<void> | undefined;
  /** Reads no more; until resume() the peer has to wait, and its end is not noticed. */
  pause(): void;
  resume(): void;
  /** Ends the connection at once; no callback comes afterwards. */
  close(): void;
}

/** Connects; all results arrive by the callbacks, never before this returns. */
export function openByteSocket(options: ByteSocketOptions): ByteSocket {
  return new Connection(options);
}

class Connection implements ByteSocket {
  readonly #options: ByteSocketOptions;
  #socket: Socket;
  #over = false;
  readonly #receive = (chunk: Buffer): void => {
    if (!this.#over) this.#options.onBytes(chunk);
  };

  constructor(options: ByteSocketOptions) {
    const { target } = options;
    this.#options = options;
    this.#socket =
      target.kind === "unix" ? connect({ path: target.path }) : connect({ host: target.host, port: target.port });
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true);
    this.#listen(this.#socket, "connect");
  }

  send(bytes: Uint8Array): void {
    if (this.#over) return;
    if (this.#socket.writableLength + bytes.length > this.#options.sendLimitBytes) this.#end("peer does not read");
    else this.#socket.write(bytes);
  }

  startTls(tls: ClientTls): void {
    if (this.#over) return;
    const plain = this.#socket;
    // Whatever comes from now on belongs to the handshake.
    plain.removeListener("data", this.#receive);
    try {
      this.#socket = connectTls(tlsOptions(plain, tls));
    } catch (error) {
      // A key or certificate that OpenSSL does not take.
      const reason = error instanceof Error ? systemText(error) : String(error);
      queueMicrotask(() => this.#end(reason));
      return;
    }
    this.#listen(this.#socket, "secureConnect");
  }

  drained(): Promise<void> | undefined {
    const socket = this.#socket;
    if (this.#over || !socket.writableNeedDrain) return undefined;
    return new Promise((resolve) => {
      const done = () => {
        socket.removeListener("drain", done).removeListener("close", done);
        resolve();
      };
      socket.on("drain", done).on("close", done);
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #listen(socket: Socket, opened: "connect" | "secureConnect"): void {
    socket.once(opened, () => {
      if (!this.#over) this.#options.onOpen();
    });
    socket.on("data", this.#receive);
    socket.on("error", (error) => this.#end(systemText(error)));
    socket.on("close", () => this.#end("connection closed"));
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.close();
    this.#options.onClose(reason);
  }
}

function tlsOptions(socket: Socket, tls: ClientTls): ConnectionOptions {
  const { serverName, ca, cert, key, ciphers } = tls;
  return {
    socket,
    host: serverName,
    // RFC 6066 §3: an address is no server name.
    ...(isIP(serverName) === 0 && { servername: serverName }),
    rejectUnauthorized: tls.verify,
    ...(ca && { ca: Buffer.from(ca) }),
    ...(cert && { cert: Buffer.from(cert) }),
    ...(key && { key: Buffer.from(key) }),
    ...(ciphers && { ciphers }),
  };
}
