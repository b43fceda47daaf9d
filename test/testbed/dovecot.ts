/** test/testbed/dovecot.ts: a real Dovecot of its own that does nothing but authentication: config, users and run directory
 *  in a temporary directory. Needs root and Debian's dovecot-core; touches nothing of an installed Dovecot. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT_MS = 15_000;

export interface DovecotOptions {
  /** Paths of its auth sockets; their directories must exist when it starts. */
  readonly sockets: readonly string[];
  /** Loopback port of the same service. */
  readonly port: number;
  /** Login to password. */
  readonly users: Readonly<Record<string, string>>;
}

export class TestDovecot {
  readonly directory: string;
  readonly #options: DovecotOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: DovecotOptions) {
    this.#options = options;
    this.directory = mkdtempSync(join(tmpdir(), "dovecot-test-"));
    chmodSync(this.directory, 0o755);
    const lines = Object.entries(options.users).map(([login, password]) => `${login}:{PLAIN}${password}\n`);
    writeFileSync(join(this.directory, "users"), lines.join(""));
    writeFileSync(join(this.directory, "dovecot.conf"), configuration(this.directory, options));
  }

  /** Resolves when all its sockets take connections. */
  async start(): Promise<void> {
    const child = spawn("/usr/sbin/dovecot", ["-F", "-c", join(this.directory, "dovecot.conf")], { stdio: "ignore" });
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
    for (const socket of [...this.#options.sockets, this.#options.port]) await this.#until(socket, true);
  }

  /** Ends the master and its auth processes, which would otherwise serve their connections a while longer. Resolves when
   *  all are gone and nobody listens. */
  async kill(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const services = childrenOf(this.#child?.pid);
    this.#child?.kill(signal);
    await this.#ended;
    this.#child = undefined;
    for (const pid of services) send(pid, signal);
    for (const socket of [...this.#options.sockets, this.#options.port]) await this.#until(socket, false);
  }

  log(): string {
    const path = join(this.directory, "log");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }

  async remove(): Promise<void> {
    await this.kill("SIGTERM");
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #until(socket: string | number, wanted: boolean): Promise<void> {
    for (const end = Date.now() + TIMEOUT_MS; Date.now() < end; await sleep(30)) {
      if ((await listens(socket)) === wanted) return;
    }
    throw new Error(`Dovecot ${wanted ? "does not listen" : "still listens"} on ${socket}:\n${this.log()}`);
  }
}

/** True where this machine can run one. */
export function hasDovecot(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/sbin/dovecot");
}

/** Sockets of mode 0666: Postern's workers run as an account that Dovecot does not know. */
function configuration(directory: string, { sockets, port }: DovecotOptions): string {
  const listeners = sockets.map((path) => `  unix_listener ${path} {\n    mode = 0666\n  }\n`).join("");
  return `base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${directory}/log
listen = 127.0.0.1
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
auth_verbose = yes
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${directory}/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
${listeners}  inet_listener {
    address = 127.0.0.1
    port = ${port}
  }
}
`;
}

/** Processes that `pid` has started and that still run. */
function childrenOf(pid: number | undefined): readonly number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, "latin1").trim().split(" ").filter(Boolean).map(Number) : [];
}

/** A process that has ended by itself is what was wanted. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function listens(socket: string | number): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = typeof socket === "string" ? net.connect(socket) : net.connect(socket, "127.0.0.1");
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => resolve(false));
  });
}
