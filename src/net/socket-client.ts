/** net/socket-client.ts: a small client for line protocols over unix or TCP sockets (Dovecot's auth service).
 *  Bounded both ways: a line longer than the limit or a peer that does not read ends the connection. Knows no protocol,
 *  has no timeouts and does not reconnect; the owner does. */
import { connect, type Socket } from "node:net";
import { LineSplitter } from "../base/line-splitter.ts";

export type SocketTarget =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

export interface LineSocketOptions {
  readonly target: SocketTarget;
  /** Longest line received, in bytes without its end. */
  readonly lineLimitBytes: number;
  /** Most bytes that may wait to be sent. */
  readonly sendLimitBytes: number;
  /** Connected. */
  readonly onOpen: () => void;
  /** One line without its end, as UTF-8; malformed sequences become U+FFFD. */
  readonly onLine: (line: string) => void;
  /** At most once, and never after close(): could not connect, or the connection ended. `reason` is the system's. */
  readonly onClose: (reason: string) => void;
}

export interface LineSocket {
  /** Sends `line` and LF. A line with an LF inside is a bug and throws. */
  send(line: string): void;
  /** Sends several lines, each with an LF, in one write. A line with an LF inside is a bug and throws. */
  sendLines(lines: readonly string[]): void;
  /** Ends the connection at once; no callback comes afterwards. */
  close(): void;
}

/** Connects; all results arrive by the callbacks, never before this returns. */
export function openLineSocket(options: LineSocketOptions): LineSocket {
  const { target } = options;
  const socket =
    target.kind === "unix" ? connect({ path: target.path }) : connect({ host: target.host, port: target.port });
  const lines = new LineSplitter(options.lineLimitBytes);
  let over = false;
  const end = (reason: string) => {
    if (over) return;
    over = true;
    socket.destroy();
    options.onClose(reason);
  };
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  socket.on("connect", () => options.onOpen());
  socket.on("data", (chunk) => {
    lines.push(chunk);
    for (let line = lines.next(); line !== undefined && !over; line = lines.next()) {
      if (line.truncated) end("line too long");
      else options.onLine(Buffer.from(line.text, "latin1").toString("utf8"));
    }
  });
  socket.on("error", (error) => end(systemText(error)));
  socket.on("close", () => end("connection closed"));
  return lineSocket(socket, options.sendLimitBytes, { end, isOver: () => over, finish: () => (over = true) });
}

interface Lifetime {
  readonly end: (reason: string) => void;
  readonly isOver: () => boolean;
  readonly finish: () => void;
}

function lineSocket(socket: Socket, sendLimitBytes: number, lifetime: Lifetime): LineSocket {
  const sendLines = (lines: readonly string[]) => {
    if (lines.some((line) => line.includes("\n"))) throw new Error("Line to send holds a line end");
    if (lifetime.isOver()) return;
    const text = lines.map((line) => `${line}\n`).join("");
    if (socket.writableLength + text.length > sendLimitBytes) return lifetime.end("peer does not read");
    socket.write(text);
  };
  return {
    sendLines,
    send: (line) => sendLines([line]),
    close() {
      lifetime.finish();
      socket.destroy();
    },
  };
}

/** Why a connection failed, in the system's words. */
export function systemText(error: Error): string {
  const code = "code" in error ? String(error.code) : "";
  return SYSTEM_TEXTS.get(code) ?? (error.message === "" ? code : error.message);
}

/** The words that Postfix's log would have. */
const SYSTEM_TEXTS = new Map([
  ["ENOENT", "No such file or directory"],
  ["ECONNREFUSED", "Connection refused"],
  ["EACCES", "Permission denied"],
  ["ECONNRESET", "Connection reset by peer"],
  ["EPIPE", "Broken pipe"],
  ["ETIMEDOUT", "Connection timed out"],
  ["ENOTFOUND", "Host not found"],
  ["EAI_AGAIN", "Host not found, try again"],
  ["EHOSTUNREACH", "No route to host"],
  ["ENETUNREACH", "Network is unreachable"],
]);
