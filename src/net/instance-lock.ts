/** net/instance-lock.ts: one master per queue directory, one writer per table. An abstract unix socket vanishes with its process, even after
 *  kill -9, so there is no stale lock; Node has no flock(2). */
import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import net from "node:net";
import { basename, dirname, join } from "node:path";

/** Resolves to the lock, or undefined if another process holds it. */
export function lockDirectory(directory: string): Promise<Lock | undefined> {
  return lock(realpathSync(directory));
}

/** The same for a file, which need not be there; its directory must. */
export function lockFile(path: string): Promise<Lock | undefined> {
  return lock(`file ${join(realpathSync(dirname(path)), basename(path))}`);
}

interface Lock {
  release(): void;
}

function lock(resource: string): Promise<Lock | undefined> {
  const name = createHash("sha256").update(resource).digest("hex").slice(0, 32);
  const server = net.createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen({ path: `\0postern-${name}` }, () => resolve({ release: () => server.close() }));
  });
}
