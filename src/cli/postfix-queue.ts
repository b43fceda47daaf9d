/** cli/postfix-queue.ts: a queue directory of Postfix, read only: whether Postfix is using it, which messages it holds, and what
 *  is in one, by way of Postfix's own postcat(1), which knows all versions of the format. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { type PostcatMessage, parsePostcat } from "./postcat-envelope.ts";

export interface PostfixFile {
  readonly path: string;
  /** Postfix's queue id. */
  readonly id: string;
  readonly queue: "incoming" | "active" | "deferred" | "hold";
}

export interface PostcatOptions {
  /** The program. */
  readonly postcat: string;
  /** Postfix's configuration; undefined: its default. */
  readonly configDirectory: string | undefined;
}

const QUEUES = ["incoming", "active", "deferred", "hold"] as const;
const QUEUE_ID = /^[0-9A-Za-z]{6,30}$/;
/** Owner read, write, execute: the file is complete (mail_queue.h). */
const COMPLETE = 0o700;

/** Why nothing can be imported from the directory; undefined: it can. */
export function whyNotImportable(directory: string): string | undefined {
  const missing = QUEUES.find((queue) => !existsSync(join(directory, queue)));
  if (missing !== undefined) return `${directory} is no queue directory of Postfix: it has no "${missing}"`;
  const lock = join(directory, "pid/master.pid");
  if (existsSync(lock) && [pidIn(lock), ...lockHolders(lock)].some(isMaster)) {
    return `Postfix is running on ${directory}; stop it first: postfix stop`;
  }
  return undefined;
}

/** Complete messages, in no order. */
export function* postfixFiles(directory: string): Generator<PostfixFile> {
  for (const queue of QUEUES) {
    for (const entry of readdirSync(join(directory, queue), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const complete = entry.isFile() && (statSync(path).mode & COMPLETE) === COMPLETE;
      if (complete && QUEUE_ID.test(entry.name)) yield { path, id: basename(path), queue };
    }
  }
}

/** Files that Postfix's pickup(8) has not taken in, and that only it can read. */
export function filesInMaildrop(directory: string): number {
  const maildrop = join(directory, "maildrop");
  return existsSync(maildrop) ? readdirSync(maildrop).length : 0;
}

/** A text: why not. Rejects if postcat cannot be started. */
export async function readPostfixEnvelope(path: string, options: PostcatOptions): Promise<PostcatMessage | string> {
  const { stdout, ended } = startPostcat(["-e", path], options);
  const [output, end] = await Promise.all([readText(stdout), ended]);
  return end === undefined ? parsePostcat(output) : `postcat: ${end}`;
}

/** The bytes of header and body; lines end in LF. `ended` resolves to what went wrong. */
export function readPostfixContent(path: string, options: PostcatOptions) {
  return startPostcat(["-bh", path], options);
}

function startPostcat(args: readonly string[], { postcat, configDirectory }: PostcatOptions) {
  const config = configDirectory === undefined ? [] : ["-c", configDirectory];
  // Times are printed in local time, without zone.
  const env = { ...process.env, TZ: "UTC" };
  const child = spawn(postcat, [...config, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const said = readText(child.stderr);
  const ended = new Promise<string | undefined>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      void said.then((text) => resolve(code === 0 && text === "" ? undefined : text.trim() || `exit status ${code}`));
    });
  });
  return { stdout: child.stdout, ended };
}

function pidIn(path: string): number {
  return Number(readFileSync(path, "latin1").trim());
}

/** Who holds a lock on a file with this inode number: proc(5), /proc/locks. */
function lockHolders(path: string): readonly number[] {
  if (!existsSync("/proc/locks")) return [];
  const { ino } = statSync(path);
  const lines = readFileSync("/proc/locks", "latin1").split("\n");
  return lines.filter((line) => line.includes(`:${ino} `)).map((line) => Number(line.trim().split(/\s+/)[4]));
}

/** One that has ended and that nobody has waited for yet (state Z) runs no more. */
function isMaster(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return (
    Number.isInteger(pid) && pid > 0 && existsSync(stat) && /^\d+ \(master\) [^ZX] /.test(readFileSync(stat, "latin1"))
  );
}
