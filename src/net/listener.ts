/** net/listener.ts: listening sockets that outlive the process which accepts on them. The master binds (it may be root)
 *  and never accepts; each worker gets the handle once and accepts on its own (design §4: 2 µs a connection).
 *  `net._createServerHandle` is what node:cluster itself uses for shared handles; the public API cannot bind without
 *  accepting. Everything that depends on it stands in this file. */
import net from "node:net";

/** A bound socket. Sent to a worker with process.send(message, handle.raw). */
export interface BoundSocket {
  readonly raw: net.Server;
  readonly host: string;
  readonly port: number;
  close(): void;
}

/** Binding failed; `code` is the system's ("EADDRINUSE", "EACCES"). */
export class BindError extends Error {
  override readonly name = "BindError";
  readonly code: string;
  constructor(code: string, where: string) {
    super(`Cannot listen on ${where}: ${code === "EADDRINUSE" ? "the port is in use" : code}`);
    this.code = code;
  }
}

interface RawHandle {
  close(): void;
  getsockname(out: { port?: number }): number;
}
type CreateServerHandle = (
  address: string,
  port: number,
  family: 4 | 6,
  fd?: number,
  flags?: number,
) => RawHandle | number;

/** Of libuv. */
const UV_TCP_IPV6ONLY = 1;

/** Binds host:port without accepting; port 0 picks a free one. `::` takes IPv4 too, but with `ipv6Only`. Throws BindError. */
export function bindSocket(host: string, port: number, { ipv6Only = false } = {}): BoundSocket {
  const create = (net as unknown as { _createServerHandle: CreateServerHandle })._createServerHandle;
  const handle = create(host, port, host.includes(":") ? 6 : 4, undefined, ipv6Only ? UV_TCP_IPV6ONLY : 0);
  if (typeof handle === "number") throw new BindError(systemErrorCode(handle), `${host}:${port}`);
  const name: { port?: number } = {};
  // libuv keeps EADDRINUSE back at bind and tells it here; a worker would listen on any free port instead.
  const kept = handle.getsockname(name);
  if (kept !== 0) {
    handle.close();
    throw new BindError(systemErrorCode(kept), `${host}:${port}`);
  }
  return { raw: handle as unknown as net.Server, host, port: name.port ?? port, close: () => handle.close() };
}

/** True if this machine can bind IPv6 sockets. */
export function hasIpv6(): boolean {
  try {
    bindSocket("::1", 0).close();
    return true;
  } catch (error) {
    if (error instanceof BindError) return false;
    throw error;
  }
}

export type AcceptedSocket = net.Socket;

export interface Acceptor {
  /** Stops accepting; the bound socket itself stays with whoever bound it. */
  close(): Promise<void>;
}

/** Accepts on a handle that the master bound. */
export function acceptOn(
  raw: net.Server,
  onSocket: (socket: net.Socket) => void,
  onError: (error: Error) => void,
): Promise<Acceptor> {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, onSocket);
    server.once("error", reject);
    server.listen(raw, () => {
      server.off("error", reject);
      server.on("error", onError);
      resolve({ close: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

function systemErrorCode(errno: number): string {
  return (
    new Map([
      [-98, "EADDRINUSE"],
      [-13, "EACCES"],
      [-99, "EADDRNOTAVAIL"],
      [-97, "EAFNOSUPPORT"],
    ]).get(errno) ?? `error ${-errno}`
  );
}
