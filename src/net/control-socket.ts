/** net/control-socket.ts: one JSON request and one JSON answer per line over a unix socket, between the CLI and the master.
 *  Who may connect is decided by the socket's file mode alone. */
import { chmodSync, chownSync, rmSync } from "node:fs";
import net from "node:net";

/** Bytes of one request or answer. */
const MAX_LINE = 64 * 1024 * 1024;

export type ControlAnswer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: string; readonly again: boolean; readonly denied?: boolean };

/** Cannot be answered now, but soon: a worker is being restarted. Travels over the socket as what it is. */
export class TryAgainError extends Error {
  override readonly name = "TryAgainError";
}

/** Who asks may not. Travels over the socket, too. */
export class DeniedError extends Error {
  override readonly name = "DeniedError";
}

export interface ControlRequest {
  readonly op: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface DoorOptions {
  readonly mode: number;
  /** Group of the socket; undefined: as it comes. */
  readonly gid?: number | undefined;
  /** Bytes of a request. */
  readonly maxRequest: number;
  readonly maxConnections: number;
  /** How long a client may say nothing. */
  readonly idleMs: number;
}

export const FOR_OPERATORS: DoorOptions = { mode: 0o600, maxRequest: MAX_LINE, maxConnections: 1024, idleMs: 600_000 };
export const FOR_GROUP: Omit<DoorOptions, "gid"> = { ...FOR_OPERATORS, mode: 0o660 };
/** Strangers to the server: little memory for each, and not for many at a time. */
export const FOR_EVERYBODY: DoorOptions = { mode: 0o666, maxRequest: 4096, maxConnections: 64, idleMs: 60_000 };

/** What a client that is being answered gets to read the answer when the door closes. */
const CLOSE_GRACE_MS = 1000;

/** Listens at `path`; a socket file left behind by a dead master is replaced. close() waits for answers under way, and for no client
 *  that has not asked yet or does not go. */
export function serveControl(
  path: string,
  { mode, gid, maxRequest, maxConnections, idleMs }: DoorOptions,
  answer: Answer,
): Promise<{ close(): Promise<void> }> {
  rmSync(path, { force: true });
  const open = new Map<net.Socket, Visit>();
  const server = net.createServer((socket) => {
    socket.setTimeout(idleMs, () => socket.destroy());
    const visit: Visit = { answering: undefined };
    open.set(socket, visit);
    socket.on("close", () => open.delete(socket));
    serveOne(socket, { maxRequest, answer, visit });
  });
  server.maxConnections = maxConnections;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      try {
        if (gid !== undefined) chownSync(path, -1, gid);
        chmodSync(path, mode);
      } catch (error) {
        server.close();
        reject(error);
        return;
      }
      resolve({
        close() {
          const closed = new Promise<void>((done) => server.close(() => done()));
          for (const [socket, { answering }] of open) void showOut(socket, answering);
          return closed;
        },
      });
    });
  });
}

/** What a connection has come to. */
interface Visit {
  /** Resolves when the answer is written; undefined: nothing has been asked. */
  answering: Promise<void> | undefined;
}

async function showOut(socket: net.Socket, answering: Promise<void> | undefined): Promise<void> {
  await answering;
  socket.setTimeout(CLOSE_GRACE_MS); // its listener destroys the socket
  socket.destroySoon();
}

function serveOne(
  socket: net.Socket,
  serving: { readonly maxRequest: number; readonly answer: Answer; readonly visit: Visit },
): void {
  const { maxRequest, answer, visit } = serving;
  socket.on("error", () => socket.destroy());
  readLine(socket, maxRequest, (line) => {
    visit.answering = respond(line, answer).then((reply) => void socket.end(`${JSON.stringify(reply)}\n`));
  });
}

type Answer = (request: ControlRequest) => Promise<unknown>;

async function respond(line: string, answer: Answer): Promise<ControlAnswer> {
  try {
    const request = JSON.parse(line) as ControlRequest;
    return { ok: true, value: (await answer(request)) ?? null };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { ok: false, error: text, again: error instanceof TryAgainError, denied: error instanceof DeniedError };
  }
}

/** Asks the master. Rejects with TryAgainError, or with code ENOENT or ECONNREFUSED when no server is running. */
export function askControl(path: string, request: ControlRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("The server closed the connection")));
    socket.write(`${JSON.stringify(request)}\n`);
    readLine(socket, MAX_LINE, (line) => {
      socket.destroy();
      const reply = JSON.parse(line) as ControlAnswer;
      if (reply.ok) resolve(reply.value);
      else if (reply.denied) reject(new DeniedError(reply.error));
      else reject(reply.again ? new TryAgainError(reply.error) : new Error(reply.error));
    });
  });
}

/** Says something to the master, if there is one, and waits at most `timeoutMs` until it is heard. Never rejects. */
export function tellControl(path: string, request: ControlRequest, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    const end = () => {
      socket.destroy();
      resolve();
    };
    socket.setTimeout(timeoutMs, end).on("error", end).on("data", end).on("end", end);
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** Calls `done` with the first line, once; destroys a socket that sends more than `limit` bytes without one. */
function readLine(socket: net.Socket, limit: number, done: (line: string) => void): void {
  const parts: Buffer[] = [];
  let size = 0;
  const take = (chunk: Buffer) => {
    parts.push(chunk);
    size += chunk.length;
    if (size > limit) {
      socket.destroy();
      return;
    }
    if (!chunk.includes(10)) return;
    socket.off("data", take).resume(); // its end must still be seen
    const whole = Buffer.concat(parts);
    done(whole.toString("utf8", 0, whole.indexOf(10)));
  };
  socket.on("data", take);
}
