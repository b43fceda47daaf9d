/** local/maildir.ts: writes one message into a maildir so that it is there after a power cut: tmp/, fsync, rename to new/,
 *  fsync of new/. Knows no recipients. Throws the file system's own errors. */
import { type FileHandle, mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { MessageContent } from "../mail/delivery.ts";
import { CrlfToLf } from "./crlf-to-lf.ts";

export interface MaildirMessage {
  /** Absolute name of the maildir; made with tmp/, new/ and cur/ if it is not there. */
  readonly directory: string;
  /** Unique among all deliveries to it; no "/" and no ":". */
  readonly fileName: string;
  /** Header lines to put on top, LF line ends. */
  readonly head: Uint8Array;
  readonly content: MessageContent;
}

/** Makes names in a directory durable; tests watch it. */
export type SyncDirectory = (path: string) => Promise<void>;

/** Resolves when the message is on stable storage. What was written is removed after an error or an abort. */
export async function writeToMaildir(
  message: MaildirMessage,
  signal: AbortSignal,
  sync: SyncDirectory = syncDirectory,
): Promise<void> {
  const { directory, fileName } = message;
  const temporary = join(directory, "tmp", fileName);
  const final = join(directory, "new", fileName);
  const make = () => makeMaildir(directory, sync);
  const file = await orMade(() => open(temporary, "wx", 0o600), make);
  try {
    try {
      await writeContent(file, message, signal);
      await file.sync();
    } finally {
      await file.close();
    }
    await orMade(() => rename(temporary, final), make);
  } catch (error) {
    // The first error is the one to tell; a file left in tmp/ is swept by any mail reader.
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  try {
    await sync(join(directory, "new"));
  } catch (error) {
    // It will be delivered again, and must not be there twice, unless a reader has it already.
    await unlink(final).catch(() => undefined);
    throw error;
  }
}

async function writeContent(file: FileHandle, message: MaildirMessage, signal: AbortSignal): Promise<void> {
  const converter = new CrlfToLf();
  await writeAll(file, message.head);
  for await (const chunk of message.content.chunks()) {
    signal.throwIfAborted();
    await writeAll(file, converter.convert(chunk));
  }
  await writeAll(file, converter.end());
}

/** write(2) may take less than it is given. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

/** Once more with the maildir made, if it was not there, or not all of it. */
async function orMade<T>(run: () => Promise<T>, make: () => Promise<void>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    await make();
    return run();
  }
}

/** Makes what is missing, and every name of it durable: a message in a directory whose name is lost is lost too. */
async function makeMaildir(directory: string, sync: SyncDirectory): Promise<void> {
  let first: string | undefined;
  for (const part of ["tmp", "cur", "new"]) {
    const made = await mkdir(join(directory, part), { recursive: true, mode: 0o700 });
    if (made !== undefined && made.length <= directory.length) first = made;
  }
  await sync(directory);
  if (first === undefined) return;
  // Up to the directory that was there before.
  for (let path = directory; path.length >= first.length; path = dirname(path)) await sync(dirname(path));
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
