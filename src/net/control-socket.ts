/** net/control-socket.ts: one JSON request and one JSON answer per line over a unix socket, between the CLI and the master.
 *  Who may connect is decided by the socket's file mode alone. */
import { chmodSync, rmSync } from "node:fs";
import net from "node:net";

/** Bytes of one request or answer. */
const MAX_LINE = 64 * 1024 * 1024;

export type ControlAnswer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: string; readonly again: boolean };

/** Cannot be answered now, but soon: a worker is being restarted. Travels over the socket as what it is. */
export class TryAgainError extends Error {
  override readonly name = "TryAgainError";
}

export interface ControlRequest {
  readonly op: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** Listens at `path` with `mode`; a socket file left behind by a dead master is replaced. */
export function serveControl(
  path: string,
  mode: number,
  answer: (request: ControlRequest) => Promise<unknown>,
): Promise<{ close(): Promise<void> }> {
  rmSync(path, { force: true });
  const server = net.createServer((socket) => serveOne(socket, answer));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      chmodSync(path, mode);
      resolve({ close: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

function serveOne(socket: net.Socket, answer: (request: ControlRequest) => Promise<unknown>): void {
  socket.on("error", () => socket.destroy());
  readLine(socket, (line) => {
    void respond(line, answer).then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
  });
}

async function respond(line: string, answer: (request: ControlRequest) => Promise<unknown>): Promise<ControlAnswer> {
  try {
    const request = JSON.parse(line) as ControlRequest;
    return { ok: true, value: (await answer(request)) ?? null };
  } catch (error) {
    const again = error instanceof TryAgainError;
    return { ok: false, error: error instanceof Error ? error.message : String(error), again };
  }
}

/** Asks the master. Rejects with TryAgainError, or with code ENOENT or ECONNREFUSED when no server is running. */
export function askControl(path: string, request: ControlRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("The server closed the connection")));
    socket.write(`${JSON.stringify(request)}\n`);
    readLine(socket, (line) => {
      socket.destroy();
      const reply = JSON.parse(line) as ControlAnswer;
      if (reply.ok) resolve(reply.value);
      else reject(reply.again ? new TryAgainError(reply.error) : new Error(reply.error));
    });
  });
}

/** Calls `done` with the first line; destroys a socket that sends more than MAX_LINE without one. */
function readLine(socket: net.Socket, done: (line: string) => void): void {
  const parts: Buffer[] = [];
  let size = 0;
  socket.on("data", (chunk: Buffer) => {
    parts.push(chunk);
    size += chunk.length;
    if (size > MAX_LINE) socket.destroy();
    if (chunk.includes(10)) {
      const whole = Buffer.concat(parts);
      done(whole.toString("utf8", 0, whole.indexOf(10)));
    }
  });
}
