/** pickup/maildrop.ts: the server's side of the maildrop directory, where every user of the machine may put files of any kind.
 *  A file that looks complete is first moved, under the queue id that it will have, to a directory that only the server can
 *  reach; what it really is is asked of the open file. After a crash the id tells whether the message is in the queue already.
 *  The directory's owner needs no rights to a file in order to move or remove it. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, opendir, readdir, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { DirectorySync } from "../base/durable.ts";
import type { QueueId } from "../mail/queue-id.ts";

export interface DropDirectories {
  /** Mode 3733. */
  readonly maildrop: string;
  /** Files that have a queue id; mode 0700, on the same file system. */
  readonly claimed: string;
}

/** A file in the directory of claimed ones. */
export interface ClaimedFile {
  readonly queueId: QueueId;
  /** When it was complete, in milliseconds since the epoch; the time it was claimed if that is not known. */
  readonly arrivalMs: number;
}

export interface OpenedFile {
  readonly handle: FileHandle;
  /** Who submitted it. */
  readonly uid: number;
}

/** Owner read, write, execute: complete. */
const COMPLETE = 0o700;
const STALE_MS = 24 * 3600 * 1000;
/** A name that was left alone because of `text`. */
export type PassedOver = (name: string, text: string) => void;

export class Maildrop {
  readonly #directories: DropDirectories;
  readonly #maildropSync: DirectorySync;
  readonly #claimedSync: DirectorySync;

  constructor(directories: DropDirectories) {
    this.#directories = directories;
    this.#maildropSync = new DirectorySync(directories.maildrop);
    this.#claimedSync = new DirectorySync(directories.claimed);
  }

  /** Names of files that look complete, in no order; other things are told to `passedOver`. What was never completed is
   *  removed after a day. */
  async *ready(
    nowMs: number,
    passedOver: PassedOver,
  ): AsyncGenerator<{ readonly name: string; readonly arrivalMs: number }> {
    for await (const { name } of await opendir(this.#directories.maildrop)) {
      const path = join(this.#directories.maildrop, name);
      const stats = await lstatIfThere(path);
      if (!stats) continue;
      const bad = whyNot(stats);
      if (bad !== undefined) passedOver(name, bad);
      else if ((stats.mode & COMPLETE) === COMPLETE) yield { name, arrivalMs: stats.ctimeMs };
      else if (nowMs - stats.ctimeMs > STALE_MS) {
        passedOver(name, `uid ${stats.uid}: incomplete for a day, removed`);
        await unlink(path);
      }
    }
  }

  /** Moves it; false if it is gone. Not durable before sync(). */
  async claim(name: string, queueId: QueueId): Promise<boolean> {
    try {
      await rename(join(this.#directories.maildrop, name), this.#pathOf(queueId));
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** Makes claims durable. */
  async sync(): Promise<void> {
    await Promise.all([this.#maildropSync.sync(), this.#claimedSync.sync()]);
  }

  /** What an earlier life has claimed and not removed. */
  async claimed(): Promise<readonly ClaimedFile[]> {
    const names = await readdir(this.#directories.claimed).catch((error: unknown) => {
      // Somebody has tidied up: then nothing is there, and that must not keep a server from starting.
      if (isMissing(error)) return [];
      throw error;
    });
    const files = names.map(async (name) => {
      const stats = await lstatIfThere(this.#pathOf(name));
      return stats?.isDirectory() ? [] : [{ queueId: name as QueueId, arrivalMs: stats?.ctimeMs ?? 0 }];
    });
    return (await Promise.all(files)).flat();
  }

  /** Opens a claimed file without following or waiting for anything. A text: why it is not taken. */
  async open(queueId: QueueId): Promise<OpenedFile | string> {
    let handle: FileHandle | undefined;
    try {
      const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
      handle = await open(this.#pathOf(queueId), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const stats = await handle.stat();
      const bad = whyNot(stats);
      if (bad === undefined) return { handle, uid: stats.uid };
      await handle.close();
      return bad;
    } catch (error) {
      await handle?.close();
      return (error as Error).message;
    }
  }

  /** Durably. Rejects if that fails: then they may come back after a crash. */
  async remove(queueIds: readonly QueueId[]): Promise<void> {
    if (queueIds.length === 0) return;
    for (const queueId of queueIds) await rm(this.#pathOf(queueId), { force: true });
    await this.#claimedSync.sync();
  }

  /** Out of the way, for an operator to look at. */
  async putAside(queueId: QueueId): Promise<void> {
    await rename(this.#pathOf(queueId), join(this.#directories.claimed, "corrupt", queueId));
  }

  #pathOf(queueId: string): string {
    return join(this.#directories.claimed, queueId);
  }
}

/** In Postfix's words. A second link would let somebody else's file pass for a message. */
function whyNot(stats: Stats): string | undefined {
  if (!stats.isFile()) return `uid ${stats.uid}: not a regular file`;
  return stats.nlink === 1 ? undefined : `uid ${stats.uid}: file has ${stats.nlink} links`;
}

async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
