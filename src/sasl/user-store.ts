/** sasl/user-store.ts: the user file on disk, for the command line. The server never comes here: the master reads the file
 *  and hands its bytes to the workers. A symbolic link is refused, the file is replaced in one durable step at mode 0600,
 *  and a lock file beside it keeps two writers apart. */
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { writeFileDurably } from "../base/durable.ts";
import { type Edit, newUserFile } from "./user-file.ts";

const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** `code` is one of ours or the system's ("EACCES"). */
export class UserFileError extends Error {
  override readonly name = "UserFileError";
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The text of the file; undefined when there is none. Throws UserFileError. */
export async function loadUserFile(path: string): Promise<string | undefined> {
  return (await load(path))?.text;
}

interface Stored {
  readonly text: string;
  readonly owner: { readonly uid: number; readonly gid: number };
}

async function load(path: string): Promise<Stored | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = await handle.stat();
    if (!status.isFile()) throw new UserFileError("NOT_A_FILE", "is not a regular file");
    if (status.size > MAX_FILE_BYTES) throw new UserFileError("TOO_LARGE", "is larger than 64 MiB");
    return { text: await handle.readFile("utf8"), owner: { uid: status.uid, gid: status.gid } };
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return undefined;
    throw asUserFileError(cause);
  } finally {
    await handle?.close();
  }
}

/** Applies one edit under the lock, to a new file when there is none. A refusal changes nothing. Throws UserFileError;
 *  code "LOCKED" when another edit is under way. */
export async function editUserFile(path: string, edit: (text: string) => Edit): Promise<Edit> {
  const lock = await takeLock(`${path}.lock`);
  try {
    const stored = await load(path);
    const outcome = edit(stored?.text ?? newUserFile());
    // root may edit the file of the mail owner: it stays his.
    const options = { mode: 0o600, owner: stored?.owner };
    if (outcome.kind === "done") await writeFileDurably(path, Buffer.from(outcome.text), options);
    return outcome;
  } catch (cause) {
    throw asUserFileError(cause);
  } finally {
    await lock.close();
    await unlink(`${path}.lock`);
  }
}

async function takeLock(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") throw new UserFileError("LOCKED", `is being edited: ${path} exists`, cause);
    throw asUserFileError(cause);
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "UNKNOWN";
}

const REASONS = new Map([
  ["ELOOP", "is a symbolic link"],
  ["EACCES", "permission denied"],
  ["EPERM", "not permitted"],
  ["EROFS", "read-only file system"],
  ["ENOSPC", "no space left on device"],
  ["ENOENT", "no such directory"],
]);

function asUserFileError(cause: unknown): UserFileError {
  if (cause instanceof UserFileError) return cause;
  const code = codeOf(cause);
  return new UserFileError(code, REASONS.get(code) ?? (cause instanceof Error ? cause.message : String(cause)), cause);
}
