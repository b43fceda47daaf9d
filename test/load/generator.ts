/** test/load/generator.ts: sends many messages over many SMTP sessions at once, as cheaply as it can, and counts what was
 *  accepted. Every attempt carries an id of its own in X-Load-Id, so that a crash test can tell what the server owes.
 *  Does not check content or timing of single messages. As a program: node test/load/generator.ts --port N …; see
 *  OPTIONS below; the result is one line of JSON. */
import { createWriteStream } from "node:fs";
import { parseArgs } from "node:util";
import { GeneratorSession, type MessageEnd } from "./generator-session.ts";
import type { LoadOptions } from "./load-options.ts";

export type { LoadOptions };

export interface LoadResult {
  readonly accepted: number;
  /** Messages refused with 5xx, or failed where `retry` is off. */
  readonly failed: number;
  /** Attempts made again because of an error. */
  readonly retried: number;
  readonly connections: number;
  readonly seconds: number;
  readonly perSecond: number;
}

let calls = 0;

/** Runs one load to its end. Rejects only for options that cannot work. */
export async function generateLoad(options: LoadOptions): Promise<LoadResult> {
  const counts = { accepted: 0, failed: 0, retried: 0, connections: 0 };
  const prefix = options.idPrefix ?? `${process.pid.toString(36)}-${Date.now().toString(36)}-${(calls++).toString(36)}`;
  let left = options.messages;
  let serial = 0;
  const budget = {
    take: () => left > 0 && left-- > 0,
    nextId: () => `${prefix}-${String(serial++).padStart(10, "0")}`,
    connected: () => void counts.connections++,
    ended: (end: MessageEnd) => {
      if (end.kind === "accepted") {
        counts.accepted++;
        options.onAccepted?.(end.id);
        return;
      }
      options.onError?.(end.reason);
      const again = options.retry === true && end.kind === "lost" && options.signal?.aborted !== true;
      if (again) left++;
      counts[again ? "retried" : "failed"]++;
    },
  };
  const started = performance.now();
  const sessions = Array.from({ length: Math.min(options.sessions ?? 1, options.messages) }, () =>
    new GeneratorSession(options, budget).run(),
  );
  await Promise.all(sessions);
  const seconds = (performance.now() - started) / 1000;
  return { ...counts, seconds, perSecond: seconds > 0 ? counts.accepted / seconds : 0 };
}

const OPTIONS = {
  host: { type: "string", default: "127.0.0.1" },
  port: { type: "string" },
  sessions: { type: "string", default: "1" },
  messages: { type: "string", default: "1000" },
  size: { type: "string", default: "4096" },
  /** A number, or "all". */
  "per-connection": { type: "string", default: "1" },
  tls: { type: "string", default: "none" },
  /** login:password */
  auth: { type: "string" },
  from: { type: "string" },
  to: { type: "string", multiple: true },
  retry: { type: "boolean", default: false },
  /** File that gets the id of each accepted message, one a line. */
  "id-log": { type: "string" },
} as const;

async function runProgram(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.port === undefined || !/^(none|starttls|implicit)$/.test(values.tls)) {
    console.error("usage: node test/load/generator.ts --port N [--tls none|starttls|implicit] [...]");
    return 64;
  }
  const log = values["id-log"] === undefined ? undefined : createWriteStream(values["id-log"], { flags: "a" });
  const [login = "", ...password] = (values.auth ?? "").split(":");
  const errors = new Map<string, number>();
  const result = await generateLoad({
    host: values.host,
    port: Number(values.port),
    sessions: Number(values.sessions),
    messages: Number(values.messages),
    sizeBytes: Number(values.size),
    perConnection: values["per-connection"] === "all" ? Number.POSITIVE_INFINITY : Number(values["per-connection"]),
    tls: values.tls as "none" | "starttls" | "implicit",
    retry: values.retry,
    ...(values.auth !== undefined && { auth: { login, password: password.join(":") } }),
    ...(values.from !== undefined && { from: values.from }),
    ...(values.to !== undefined && { to: values.to }),
    ...(log && { onAccepted: (id: string) => void log.write(`${id}\n`) }),
    onError: (reason) => errors.set(reason, (errors.get(reason) ?? 0) + 1),
  });
  for (const [reason, count] of errors) console.error(`generator: ${count} × ${reason}`);
  console.log(JSON.stringify(result));
  return result.failed > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await runProgram();
