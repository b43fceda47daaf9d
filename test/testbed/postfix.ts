/** test/testbed/postfix.ts: a real Postfix of its own: config, queue and data directories in a temporary directory, one inet
 *  service on a free port. Needs root and Debian's postfix package; touches nothing of an installed Postfix. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_TIMEOUT_MS = 20_000;
const ABORT_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 2_000;

export class TestPostfix {
  readonly directory: string;
  readonly port: number;

  /** `services`: lines of master.cf in the place of those of the same name. */
  constructor(
    port: number,
    options: { readonly mainCf: string; readonly smtpdOptions?: string; readonly services?: string },
  ) {
    this.port = port;
    this.directory = mkdtempSync(join(tmpdir(), "postfix-test-"));
    chmodSync(this.directory, 0o755);
    for (const name of ["queue", "data"]) mkdirSync(join(this.directory, name));
    execFileSync("chown", ["postfix", join(this.directory, "data")]);
    writeFileSync(join(this.directory, "main.cf"), `${this.#preamble()}${options.mainCf}\n`);
    writeFileSync(
      join(this.directory, "master.cf"),
      withServices(masterCf(port, options.smtpdOptions ?? ""), options.services ?? ""),
    );
  }

  #preamble(): string {
    return `compatibility_level = 3.6
queue_directory = ${this.directory}/queue
data_directory = ${this.directory}/data
maillog_file = ${this.directory}/maillog
maillog_file_prefixes = ${tmpdir()}
multi_instance_enable = yes
multi_instance_name = postfix-test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = peer.example.net
mydestination = peer.example.net
alias_maps =
alias_database =
local_recipient_maps =
in_flow_delay = 0
`;
  }

  /** Resolves when the port answers and postlogd writes. Sometimes that one does not come up, and each smtpd then waits for
   *  it: such a Postfix is stopped and started once more. */
  async start(): Promise<void> {
    if (await this.#comesUp()) return;
    this.#abort();
    if (!(await this.#comesUp())) throw new Error(`Postfix does not answer, or not log:\n${this.log()}`);
  }

  async #comesUp(): Promise<boolean> {
    execFileSync("postfix", ["-c", this.directory, "start"], { stdio: "pipe", timeout: START_TIMEOUT_MS });
    for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end; await sleep(50)) {
      if ((await answers(this.port)) && this.log().includes(": daemon started ")) return true;
    }
    return false;
  }

  log(): string {
    const path = join(this.directory, "maillog");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }

  /** A master that hangs at its start does not hear "abort": its process group is killed. */
  #abort(): void {
    const pidFile = join(this.directory, "queue/pid/master.pid");
    const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, "latin1")) : 0;
    spawnSync("postfix", ["-c", this.directory, "abort"], { stdio: "ignore", timeout: ABORT_TIMEOUT_MS });
    if (pid > 1) spawnSync("kill", ["-KILL", "--", `-${pid}`], { stdio: "ignore" });
  }

  stop(): void {
    this.#abort();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** True where this machine can run one. */
export function hasPostfix(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/sbin/postfix");
}

function withServices(lines: string, services: string): string {
  const names = new Set(Array.from(services.matchAll(/^(\S+)/gm), ([, name]) => name));
  const kept = lines.split("\n").filter((line) => !names.has(/^(\S+)/.exec(line)?.[1]));
  return `${kept.join("\n")}${services}`;
}

function masterCf(port: number, smtpdOptions: string): string {
  return `127.0.0.1:${port} inet n - n - 200 smtpd
${smtpdOptions}
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
local     unix  - n n -     - local
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
`;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      socket.destroy();
      resolve(false);
    });
  });
}
