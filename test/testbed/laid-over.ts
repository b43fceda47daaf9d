/** test/testbed/laid-over.ts: runs a mail server that cannot be installed beside Postfix: scripts/install-peers.sh has unpacked its
 *  package, and here it is laid over the system, for this one process and what it starts, with the accounts that it was
 *  compiled for. Needs root and Linux's overlay file system. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PEERS = "/usr/local/lib/postern-peers";
const TIMEOUT_MS = 15_000;

/** The view: what is written outside of /tmp goes to memory and is gone with the process. $1 package, $2 an empty directory,
 *  $3 accounts, $4 directories that the program expects, with blanks between; then the command. */
const LAY_OVER = `set -e
layer=$1 work=$2 accounts=$3 directories=$4
shift 4
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
cp -a "$layer/usr" "$work/upper/"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
for place in proc dev tmp; do mount --rbind "/$place" "$work/root/$place"; done
id=64100
for account in $accounts; do
  echo "$account:x:$id:$id::/nonexistent:/usr/sbin/nologin" >>"$work/root/etc/passwd"
  echo "$account:x:$id:" >>"$work/root/etc/group"
  id=$((id + 1))
done
for directory in $directories; do mkdir -p -m 711 "$work/root$directory"; done
exec chroot "$work/root" "$@"`;

export interface LaidOverOptions {
  /** Debian's name of the package. */
  readonly package: string;
  readonly accounts: readonly string[];
  readonly directories?: readonly string[];
  /** Gets its own directory and gives the program with its arguments; it must stay in the foreground. */
  readonly command: (directory: string) => readonly string[];
  readonly port: number;
}

/** True where this machine can run it. */
export function hasPeer(name: string): boolean {
  return process.getuid?.() === 0 && existsSync(join(PEERS, name));
}

export class LaidOver {
  /** Under /tmp, which is the same inside. */
  readonly directory: string;
  readonly #options: LaidOverOptions;
  #child: ChildProcess | undefined;
  #output = "";

  constructor(options: LaidOverOptions) {
    this.#options = options;
    this.directory = mkdtempSync(join(tmpdir(), "peer-"));
    chmodSync(this.directory, 0o755);
  }

  /** What it has said. */
  get output(): string {
    return this.#output;
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const { accounts, directories = [], command, package: name, port } = this.#options;
    const view = mkdtempSync(join(tmpdir(), "peer-view-"));
    const layer = [join(PEERS, name), view, accounts.join(" "), directories.join(" ")];
    const child = spawn(
      "unshare",
      ["--mount", "bash", "-c", LAY_OVER, "lay-over", ...layer, ...command(this.directory)],
      { stdio: ["ignore", "pipe", "pipe"], detached: true },
    );
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.#output += chunk.toString("latin1");
      });
    }
    child.once("exit", () => rmSync(view, { recursive: true, force: true }));
    for (const end = Date.now() + TIMEOUT_MS; !(await listens(port)); await sleep(30)) {
      if (child.exitCode !== null || Date.now() > end) throw new Error(`${name} does not listen:\n${this.#output}`);
    }
  }

  /** Ends it, and the processes that it started: they are one group. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      process.kill(-child.pid, "SIGTERM");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
