/** test/testbed/policy-daemon.ts: real policy servers, postgrey and policyd-rate-limit, with their own configuration, database
 *  and socket in a temporary directory. Needs root (both change their account) and Debian's packages. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT_MS = 15_000;
const POSTGREY = "/usr/sbin/postgrey";
const RATE_LIMIT = "/usr/bin/policyd-rate-limit";
/** nobody and nogroup of Debian. */
const NOBODY = 65534;

/** A path or a loopback port. */
export type Listen = string | number;

/** True where this machine can run both. */
export function hasPolicyDaemons(): boolean {
  return process.getuid?.() === 0 && existsSync(POSTGREY) && existsSync(RATE_LIMIT);
}

/** A directory that the daemons may write to. */
export function daemonDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "policy-daemon-"));
  chmodSync(directory, 0o755);
  chownSync(directory, NOBODY, NOBODY);
  return directory;
}

/** One running daemon. */
export class PolicyDaemon {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly directory: string;
  #output = "";

  private constructor(program: string, args: readonly string[], directory: string) {
    this.directory = directory;
    this.#child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => (this.#output = (this.#output + chunk.toString("latin1")).slice(-20_000)));
    }
    this.#ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  /** Greylisting, `delaySeconds` long. Resolves when it takes connections. */
  static postgrey(listen: Listen, delaySeconds: number, directory: string): Promise<PolicyDaemon> {
    writeFileSync(join(directory, "nobody-is-exempt"), "");
    const args = [
      typeof listen === "string" ? `--unix=${listen}` : `--inet=127.0.0.1:${listen}`,
      `--dbdir=${directory}`,
      `--delay=${delaySeconds}`,
      "--user=nobody",
      "--group=nogroup",
      `--whitelist-clients=${directory}/nobody-is-exempt`,
      `--whitelist-recipients=${directory}/nobody-is-exempt`,
    ];
    return PolicyDaemon.#start(new PolicyDaemon(POSTGREY, args, directory), listen);
  }

  /** `limit` recipients an hour for each login. Resolves when it takes connections. */
  static rateLimit(listen: Listen, limit: number, directory: string): Promise<PolicyDaemon> {
    const config = join(directory, "rate-limit.yaml");
    writeFileSync(
      config,
      `debug: True
user: "nobody"
group: "nogroup"
pidfile: "${directory}/pid"
sqlite_config:
    database: "${directory}/counts.sqlite3"
backend: 0
SOCKET: ${JSON.stringify(typeof listen === "string" ? listen : ["127.0.0.1", listen])}
socket_permission: 0666
limits:
    - [${limit}, 3600]
limits_by_id: {}
limit_by_sasl: True
limit_by_sender: False
limit_by_ip: False
limited_networks: []
success_action: "dunno"
fail_action: "defer_if_permit Rate limit reach, retry later"
db_error_action: "dunno"
report: False
report_from: null
report_to: null
report_subject: "x"
report_limits: [86400]
report_only_if_needed: True
smtp_server: ["localhost", 25]
smtp_starttls: False
smtp_credentials: null
delay_to_close: 300
`,
    );
    return PolicyDaemon.#start(new PolicyDaemon(RATE_LIMIT, ["--file", config], directory), listen);
  }

  get output(): string {
    return this.#output;
  }

  /** Ends it and removes its directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 3000);
    await this.#ended;
    clearTimeout(late);
    rmSync(this.directory, { recursive: true, force: true });
  }

  static async #start(daemon: PolicyDaemon, listen: Listen): Promise<PolicyDaemon> {
    for (const end = Date.now() + TIMEOUT_MS; Date.now() < end; await sleep(50)) {
      if (daemon.#child.exitCode !== null) break;
      if (await listens(listen)) return daemon;
    }
    const told = daemon.output;
    await daemon[Symbol.asyncDispose]();
    throw new Error(`Policy daemon does not listen on ${listen}: ${told}`);
  }
}

function listens(listen: Listen): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = typeof listen === "string" ? net.connect(listen) : net.connect(listen, "127.0.0.1");
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
