/** net/unread-connections.ts: connections that this process accepts and never reads: the command that a spawn service runs
 *  inherits them as its standard streams, so back-pressure and half-closed connections are between it and its client. */
import { chmodSync, lstatSync, rmSync } from "node:fs";
import net from "node:net";
import type { Stream } from "node:stream";
import { BindError } from "./listener.ts";

/** Who may connect to a unix socket is decided by its directory, as in Postfix. */
const SOCKET_MODE = 0o666;

export type ServicePlace =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly ipv6Only?: boolean };

export interface UnreadConnection {
  /** For the stdio of child_process.spawn(). */
  readonly stdio: Stream;
  /** Closes this process's end; a child that inherited the connection goes on with it. */
  close(): void;
}

/** Listens; a socket file that a dead server left behind is replaced. Rejects with BindError. */
export function acceptUnread(
  place: ServicePlace,
  onConnection: (connection: UnreadConnection) => void,
  onError: (error: Error) => void,
): Promise<{ close(): Promise<void> }> {
  const where = place.kind === "unix" ? place.path : `${place.host}:${place.port}`;
  if (place.kind === "unix") removeStale(place.path);
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    onConnection({ stdio: socket, close: () => socket.destroy() });
  });
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => reject(new BindError(error.code ?? error.message, where));
    server.once("error", refuse);
    server.listen(place.kind === "unix" ? { path: place.path } : place, () => {
      server.off("error", refuse);
      server.on("error", onError);
      if (place.kind === "unix") chmodSync(place.path, SOCKET_MODE);
      resolve({ close: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

/** Anything but a socket is somebody's file. */
function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new BindError("EEXIST", path);
  rmSync(path);
}
