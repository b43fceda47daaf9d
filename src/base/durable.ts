/** base/durable.ts: file operations that survive a power failure: write aside, sync, rename, sync the directory.
 *  Readers see the old bytes or the new bytes, never a mixture. The file system is a parameter so that failures can be
 *  tested; production uses node:fs. Not for streams or databases. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** What is needed of an open file; node's FileHandle fits. */
export interface DurableHandle {
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }>;
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The file operations used here; a test gives its own to fail at a chosen step. */
export interface DurableFs {
  open(path: string, flags: string, mode?: number): Promise<DurableHandle>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

const nodeFs: DurableFs = { open, rename, unlink };

export interface WriteOptions {
  /** Permission bits, exact: the umask does not apply. */
  readonly mode: number;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly fs?: DurableFs | undefined;
}

/** Replaces or creates `path` with `bytes`; resolves when that is on stable storage. On failure the old file is untouched,
 *  the temporary one is removed, and the file system's error is thrown. */
export async function writeFileDurably(path: string, bytes: Uint8Array, options: WriteOptions): Promise<void> {
  const fs = options.fs ?? nodeFs;
  const directory = dirname(path);
  const aside = join(directory, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const handle = await fs.open(aside, "wx", options.mode & 0o700);
  try {
    try {
      await writeAll(handle, bytes);
      if (options.owner) await handle.chown(options.owner.uid, options.owner.gid);
      await handle.chmod(options.mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(aside, path);
  } catch (error) {
    // The first error is the one to tell; a temporary file that cannot be removed either is harmless.
    await fs.unlink(aside).catch(() => undefined);
    throw error;
  }
  await syncDirectory(directory, fs);
}

/** Makes creations, renames and removals inside `directory` durable. */
async function syncDirectory(directory: string, fs: DurableFs = nodeFs): Promise<void> {
  const handle = await fs.open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes creations, renames and removals inside `path` durable, while the thread waits. Throws the file system's error. */
export function syncDirectorySync(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes a directory and those above it that are missing; their names are durable when it returns. Throws the file system's
 *  error. */
export function makeDirectorySync(path: string, mode: number): void {
  const first = mkdirSync(path, { recursive: true, mode });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) syncDirectorySync(dirname(made));
}

/** Shares directory syncs: callers that arrive while one sync runs are all served by the next. */
export class DirectorySync {
  readonly #directory: string;
  readonly #fs: DurableFs;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(directory: string, fs: DurableFs = nodeFs) {
    this.#directory = directory;
    this.#fs = fs;
  }

  /** Resolves after a sync that began after this call. */
  sync(): Promise<void> {
    if (!this.#running) return this.#start();
    // A failed sync says nothing about the next one, so both ends lead there.
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const run = syncDirectory(this.#directory, this.#fs).finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }
}

async function writeAll(handle: DurableHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, offset, bytes.length - offset);
    offset += bytesWritten;
  }
}
