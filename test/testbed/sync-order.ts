/** test/testbed/sync-order.ts: judges a trace of system calls: when a worker tells a client "250 2.0.0 Ok: queued as ID", is
 *  the message on stable storage? Needs traces of write, writev, sendto, sendmsg, pwrite64, fsync, fdatasync, openat.
 *
 *  For each such reply, before the call that writes it begins:
 *  1. the database's write-ahead log has got a page with ID, in a transaction that has ended (SQLite's commit frame), and a
 *     sync of the log that began after the last write of that transaction has returned 0;
 *  2. each content file of ID has been synced so after its last write, and its directory after the file's creation. */
import { basename, dirname } from "node:path";
import { type Call, parseStrace } from "./strace-lines.ts";

/** SQLite's file format, section 4.1: a frame is a header of 24 bytes, then one page. */
const FRAME_HEADER_BYTES = 24;
const WAL_HEADER_BYTES = 32;

export interface SyncReport {
  /** Queue ids that clients were told, in order. */
  readonly ids: readonly string[];
  /** Those of them with a content file. */
  readonly withFile: readonly string[];
  /** What was not yet safe; empty if the promise was kept. */
  readonly faults: readonly string[];
}

export function checkSyncOrder(trace: string): SyncReport {
  const calls = parseStrace(trace);
  const report = { ids: [] as string[], withFile: [] as string[], faults: [] as string[] };
  const log = new WriteAheadLog(calls);
  for (const call of calls) {
    if (!isWrite(call)) continue;
    for (const [, id = ""] of call.bytes.matchAll(/(?<=^|\r\n)250 2\.0\.0 Ok: queued as (\w+)\r\n/g)) {
      report.ids.push(id);
      const files = contentFiles(calls, id);
      if (files.length > 0) report.withFile.push(id);
      const faults = [log.fault(id, call.begin), ...files.map((file) => fileFault(calls, file, call.begin))];
      for (const fault of faults) if (fault !== undefined) report.faults.push(`${id}: ${fault}`);
    }
  }
  return report;
}

const isWrite = (call: Call) => /^(?:write|writev|sendto|sendmsg|pwrite64)$/.test(call.name);

/** True if a sync of `path` began after line `after` and had succeeded before line `before`. */
function synced(
  calls: readonly Call[],
  path: string,
  span: { readonly after: number; readonly before: number },
): boolean {
  return calls.some(
    (call) =>
      /^f(?:data)?sync$/.test(call.name) &&
      call.path === path &&
      call.result === 0 &&
      call.begin > span.after &&
      call.end < span.before,
  );
}

interface Transaction {
  readonly path: string;
  readonly bytes: string[];
  /** Its last frame header was that of a commit. */
  committing: boolean;
  /** Line at which its last write returned; Infinity while it has no commit frame. */
  end: number;
}

/** The transactions in the write-ahead logs of a trace. */
class WriteAheadLog {
  readonly #calls: readonly Call[];
  readonly #transactions: Transaction[] = [];

  constructor(calls: readonly Call[]) {
    this.#calls = calls;
    const open = new Map<string, Transaction>();
    for (const call of calls) {
      if (!isWrite(call) || !call.path.endsWith("-wal") || call.bytes.length === WAL_HEADER_BYTES) continue;
      const transaction = open.get(call.path) ?? {
        path: call.path,
        bytes: [],
        committing: false,
        end: Number.POSITIVE_INFINITY,
      };
      if (!open.has(call.path)) this.#transactions.push(transaction);
      open.set(call.path, transaction);
      transaction.bytes.push(call.bytes);
      if (call.bytes.length === FRAME_HEADER_BYTES) {
        // The database's size after a commit; 0 in every other frame.
        transaction.committing = call.bytes.slice(4, 8) !== "\0\0\0\0";
      } else if (transaction.committing) {
        transaction.end = call.end;
        open.delete(call.path);
      }
    }
  }

  /** Why `id` is not safe in the log before line `before`. */
  fault(id: string, before: number): string | undefined {
    const transaction = this.#transactions.find(({ bytes }) => bytes.some((page) => page.includes(id)));
    if (!transaction || transaction.end >= before) return "told before a transaction with it was written";
    if (synced(this.#calls, transaction.path, { after: transaction.end, before })) return undefined;
    return `told before ${basename(transaction.path)} was synced`;
  }
}

/** The calls that created content files of `id`, whose names begin with it. */
function contentFiles(calls: readonly Call[], id: string): readonly Call[] {
  return calls.filter(
    ({ name, path, args }) => name === "openat" && args.includes("O_CREAT") && basename(path).startsWith(`${id}.`),
  );
}

function fileFault(calls: readonly Call[], file: Call, before: number): string | undefined {
  const { path } = file;
  const writes = calls.filter((call) => isWrite(call) && call.path === path);
  const after = Math.max(file.end, ...writes.map((call) => call.end));
  if (!synced(calls, path, { after, before })) return `told before ${basename(path)} was synced`;
  if (synced(calls, dirname(path), { after: file.end, before })) return undefined;
  return `told before the directory of ${basename(path)} was synced`;
}
