/** test/load/sink.ts: an SMTP server that takes every message and keeps none: the far end of benchmarks and crash tests.
 *  PIPELINING, many messages a connection, optionally STARTTLS or implicit TLS and AUTH (any password). It may tell the
 *  X-Load-Id of each message to a callback before it acknowledges. Not a server to expose: it checks nothing.
 *  As a program: node test/load/sink.ts --port N [--host H] [--id-log FILE]; the count goes to stdout at the end. */
import { createWriteStream } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { parseArgs } from "node:util";
import { SinkSession, type Taken } from "./sink-session.ts";

export interface SinkOptions {
  readonly host?: string;
  /** 0 or left out: any free port. */
  readonly port?: number;
  /** Certificate and key in PEM; with `mode` "implicit" the first byte is TLS, else STARTTLS is offered. */
  readonly tls?: {
    readonly cert: string | Buffer;
    readonly key: string | Buffer;
    readonly mode: "starttls" | "implicit";
  };
  /** Called before the 250 that ends a message; the 250 waits for the promise, and a rejection is answered 451,
   *  or as a SinkRefusal says. */
  readonly onMessage?: (message: Taken) => void | Promise<void>;
}

export interface Sink {
  readonly port: number;
  /** Messages acknowledged and bytes of content taken so far. */
  readonly counts: { messages: number; bytes: number; connections: number };
  /** Stops listening and ends all connections. */
  close(): Promise<void>;
}

/** Starts a sink; resolves once it listens. */
export async function startSink(options: SinkOptions = {}): Promise<Sink> {
  const counts = { messages: 0, bytes: 0, connections: 0 };
  const sockets = new Set<Socket>();
  const take = async (message: Taken): Promise<void> => {
    await options.onMessage?.(message);
    counts.messages++;
    counts.bytes += message.bytes;
  };
  // Without a callback no promise is made: the sink must cost as little as possible beside what is measured.
  const takeAtOnce = (message: Taken): void => {
    counts.messages++;
    counts.bytes += message.bytes;
  };
  const onConnection = (socket: Socket): void => {
    counts.connections++;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    new SinkSession(socket, { onMessage: options.onMessage ? take : takeAtOnce, tls: options.tls }).start();
  };
  const server =
    options.tls?.mode === "implicit" ? createTlsServer(options.tls, onConnection) : createServer(onConnection);
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    counts,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server, options: SinkOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host ?? "127.0.0.1", port: options.port ?? 0, backlog: 4096 }, () => resolve());
  });
}

async function runProgram(): Promise<void> {
  const { values } = parseArgs({
    options: { host: { type: "string" }, port: { type: "string" }, "id-log": { type: "string" } },
  });
  const log = values["id-log"] === undefined ? undefined : createWriteStream(values["id-log"], { flags: "a" });
  const sink = await startSink({
    host: values.host ?? "127.0.0.1",
    port: Number(values.port ?? 0),
    ...(log && { onMessage: ({ id }) => written(log, `${id ?? "-"}\n`) }),
  });
  console.log(`sink: ready on port ${sink.port}`);
  const end = async (): Promise<void> => {
    await sink.close();
    console.log(JSON.stringify(sink.counts));
    process.exit(0);
  };
  process.once("SIGTERM", () => void end());
  process.once("SIGINT", () => void end());
}

function written(log: NodeJS.WritableStream, line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    log.write(line, (error) => (error ? reject(error) : resolve()));
  });
}

if (import.meta.main) await runProgram();
