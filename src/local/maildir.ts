/** local/maildir.ts: writes one message into a maildir so that it is there after a power cut: tmp/, fsync, rename to new/,
 *  fsync of new/. Knows no recipients. Throws the file system's own errors. */
import { type FileHandle, mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
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

/** Resolves when the message is on stable storage. What was written is removed after an error or an abort. */
export async function writeToMaildir(message: MaildirMessage, signal: AbortSignal): Promise<void> {
  await makeMaildir(message.directory);
  const temporary = join(message.directory, "tmp", message.fileName);
  const file = await open(temporary, "wx", 0o600);
  try {
    try {
      await writeContent(file, message, signal);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(message.directory, "new", message.fileName));
  } catch (error) {
    // The first error is the one to tell; a file left in tmp/ is swept by any mail reader.
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDirectory(join(message.directory, "new"));
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

async function makeMaildir(directory: string): Promise<void> {
  try {
    if ((await stat(join(directory, "new"))).isDirectory()) return;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  for (const part of ["tmp", "cur", "new"]) await mkdir(join(directory, part), { recursive: true, mode: 0o700 });
  await syncDirectory(directory);
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
