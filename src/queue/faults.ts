/** queue/faults.ts: what a storage error means: out of space, broken, corrupt, locked, or not a storage error at all.
 *  SQLite's result codes are in `errcode` (extended; the low byte is the primary code), the file system's in `code`. */
import { QueueError } from "./store.ts";

export type Fault = "full" | "io" | "corrupt" | "locked";

const SQLITE_FAULTS = new Map<number, Fault>([
  [5, "locked"], // SQLITE_BUSY
  [6, "locked"], // SQLITE_LOCKED
  [8, "io"], // SQLITE_READONLY: the file system went read-only
  [10, "io"], // SQLITE_IOERR
  [11, "corrupt"], // SQLITE_CORRUPT
  [13, "full"], // SQLITE_FULL
  [14, "io"], // SQLITE_CANTOPEN
  [26, "corrupt"], // SQLITE_NOTADB
]);

const FILE_FAULTS = new Map<string, Fault>([
  ["ENOSPC", "full"],
  ["EDQUOT", "full"],
]);

/** The kind of storage fault, or undefined when the request itself is at fault (a constraint, a bug). */
export function faultOf(error: unknown): Fault | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof QueueError && error.cause !== undefined) return faultOf(error.cause);
  if ("errcode" in error && typeof error.errcode === "number") return SQLITE_FAULTS.get(error.errcode & 0xff);
  if ("syscall" in error && "code" in error && typeof error.code === "string") {
    return FILE_FAULTS.get(error.code) ?? "io";
  }
  return undefined;
}

/** Any error as a QueueError: `what` failed, because. `full` follows from the cause. */
export function asQueueError(what: string, cause: unknown): QueueError {
  if (cause instanceof QueueError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new QueueError(`${what}: ${why}`, { cause, full: faultOf(cause) === "full" });
}
