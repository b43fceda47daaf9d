/** master/directories.ts: makes the queue directory and its parts with the right owners before a worker needs them. */
import { chmodSync, chownSync, existsSync, lchownSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { makeDirectorySync, syncDirectorySync } from "../base/durable.ts";
import type { Parameters } from "../config/parameters.ts";
import { checkQueueDirectory } from "../queue/directory.ts";
import { accountNamed, groupNamed, readAccountFiles } from "./accounts.ts";
import type { WorkerUser } from "./protocol.ts";

/** The configuration cannot be started; the message says why and what to do. CLI exits 78. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export interface QueueDirectories {
  readonly root: string;
  /** Holds shard-NN, owned by mail_owner. */
  readonly queue: string;
  /** Where everybody may leave mail, and nobody but mail_owner see what is there. */
  readonly maildrop: string;
  /** Mail from there that is on its way into the queue; for mail_owner alone. */
  readonly pickup: string;
  /** Messages on their way to commands, owned by mail_owner. */
  readonly pipe: string;
  /** MTA-STS policies of domains, written by the workers. */
  readonly mtaSts: string;
  /** Counts for TLS reports, written by the workers. */
  readonly tlsReports: string;
  /** Sockets for mail_owner alone. */
  readonly private: string;
  readonly pidFile: string;
  /** For who may operate the server. */
  readonly control: string;
  /** Names paused destinations. */
  readonly paused: string;
  /** For every user of the machine. */
  readonly client: string;
}

export function queueDirectories(params: Parameters): QueueDirectories {
  const root = params.get("queue_directory");
  return {
    root,
    queue: join(root, "queue"),
    maildrop: join(root, "maildrop"),
    pickup: join(root, "pickup"),
    pipe: join(root, "pipe"),
    mtaSts: join(root, "mta-sts"),
    tlsReports: join(root, "tlsrpt"),
    private: join(root, "private"),
    pidFile: join(root, "pid", "postern.pid"),
    control: join(root, "public", "control"),
    paused: join(root, "paused"),
    client: join(root, "public", "client"),
  };
}

/** Creates what is missing. Refuses a directory that is another program's. */
export function prepareDirectories(dirs: QueueDirectories, user: WorkerUser | undefined): void {
  const foreign = checkQueueDirectory(dirs.root);
  if (foreign !== undefined) throw new StartError(foreign);
  try {
    makeDirectorySync(dirs.root, 0o755);
    for (const name of ["pid", "public"]) mkdirSync(join(dirs.root, name), { recursive: true, mode: 0o755 });
    for (const path of [
      dirs.queue,
      dirs.pickup,
      join(dirs.pickup, "corrupt"),
      dirs.pipe,
      dirs.mtaSts,
      dirs.tlsReports,
      dirs.private,
    ]) {
      if (path === dirs.private && existsSync(path)) continue; // other programs may keep sockets there
      mkdirSync(path, { recursive: true, mode: 0o700 });
      // Never what a link points to: one of them stands in a directory of mail_owner's.
      if (user) lchownSync(path, user.uid, user.gid);
    }
    prepareMaildrop(dirs.maildrop, user);
    // Mail in a directory whose name a power failure takes is lost, too. Also what an earlier start has left unsynced.
    syncDirectorySync(dirs.root);
    syncDirectorySync(dirs.pickup);
  } catch (error) {
    throw new StartError(`Cannot make queue_directory "${dirs.root}": ${(error as Error).message}`);
  }
}

/** Sticky: files can be removed by their owners and the directory's only. Set-group-id: they get its group, and with it
 *  the server can read them. */
const MAILDROP_MODE = 0o3733;

function prepareMaildrop(path: string, user: WorkerUser | undefined): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (user) chownSync(path, user.uid, user.gid);
  chmodSync(path, MAILDROP_MODE); // behind chown(2), which may take bits away; the umask is not asked
}

/** Shards on disk whose number no worker of this start has. */
export function orphanShards(dirs: QueueDirectories, workers: number): readonly number[] {
  return readdirSync(dirs.queue)
    .flatMap((name) => /^shard-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .filter((shard) => shard >= workers);
}

/** The group that may use the control socket; undefined: none. Throws StartError if there is no such group. */
export function operatorsGroup(params: Parameters): number | undefined {
  const name = params.get("postern_operators_group");
  if (name === "") return undefined;
  const gid = groupNamed(readAccountFiles(), name);
  if (gid !== undefined) return gid;
  throw new StartError(`postern_operators_group = ${name}: no such group; create it: groupadd --system ${name}`);
}

/** The account that workers run as; undefined when the master is not root, and everything runs as who started it. */
export function workerUser(params: Parameters, uid: number): WorkerUser | undefined {
  if (uid !== 0) return undefined;
  if (String(params.get("postern_workers")) === "0") {
    throw new StartError("postern_workers = 0 is refused as root: nothing would give up privileges; set 1 or more");
  }
  const name = params.get("mail_owner");
  const account = accountNamed(readAccountFiles(), name);
  if (account?.uid === 0) throw new StartError(`mail_owner = ${name} is root; name an account without privileges`);
  if (account) return account;
  throw new StartError(`mail_owner = ${name}: no such account; create it: useradd --system --no-create-home ${name}`);
}
