/** local/destination-file.ts: reads an :include: or .forward file, if it may be trusted: a regular file that not everybody can
 *  write, of bounded size. Read with the rights of the server's user. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { fileErrorText } from "../config/file-error.ts";

/** Longer files are no lists of addresses. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

export type DestinationFile =
  /** `isPublic`: everybody may read it. */
  | { readonly kind: "text"; readonly text: string; readonly ownerUid: number; readonly isPublic: boolean }
  /** There is no such file. */
  | { readonly kind: "missing"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

/** Whether who is `uid` may read the file. The server's user may read more than the users of this machine, and what it reads shows in
 *  reports: in their names it must not. Groups do not count, nor the directories on the way. */
export function isReadableFor(uid: number, file: Extract<DestinationFile, { kind: "text" }>): boolean {
  return uid === 0 || file.isPublic || file.ownerUid === uid;
}

/** Never throws. `reason` does not name the file. */
export async function readDestinationFile(path: string): Promise<DestinationFile> {
  try {
    // A FIFO must not stop the server.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, size, uid } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) return { kind: "refused", reason: "is not a regular file" };
    if ((mode & constants.S_IWOTH) !== 0) return { kind: "refused", reason: "is world writable" };
    if (size > MAX_FILE_BYTES) return { kind: "refused", reason: `is larger than ${MAX_FILE_BYTES} bytes` };
    const bytes = Buffer.alloc(size);
    let length = 0;
    while (length < size) {
      const { bytesRead } = await file.read(bytes, length, size - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const isPublic = (mode & constants.S_IROTH) !== 0;
    return { kind: "text", text: bytes.toString("utf8", 0, length), ownerUid: uid, isPublic };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const missing = code === "ENOENT" || code === "ENOTDIR";
    return { kind: missing ? "missing" : "refused", reason: fileErrorText(error) };
  }
}
