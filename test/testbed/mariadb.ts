/** test/testbed/mariadb.ts: a real MariaDB of its own on a loopback port and a socket in a temporary directory, from Debian's
 *  mariadb-server; touches nothing of an installed one. As root it runs as nobody. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import mysql from "mysql2/promise";

const START_TIMEOUT_MS = 30_000;
const NOBODY = 65534;
const SERVER = "/usr/sbin/mariadbd";
const INSTALL = "/usr/bin/mariadb-install-db";

export interface MariadbOptions {
  readonly port: number;
  /** PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export class TestMariadb {
  readonly directory: string;
  readonly port: number;
  readonly #identity: { readonly uid: number; readonly gid: number } | undefined;
  readonly #tls: readonly string[];
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** Makes the database files; starts nothing. */
  constructor({ port, tls }: MariadbOptions) {
    this.port = port;
    this.#identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
    this.directory = mkdtempSync(join(tmpdir(), "mariadb-test-"));
    chmodSync(this.directory, 0o755);
    this.#own(this.directory);
    const made = spawnSync(
      INSTALL,
      ["--no-defaults", `--datadir=${this.#data}`, "--auth-root-authentication-method=normal", "--skip-test-db"],
      { ...this.#identity, cwd: this.directory, encoding: "latin1" },
    );
    if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.error ?? ""}${made.stdout}${made.stderr}`);
    this.#tls = Object.entries(tls ?? {}).map(([name, pem]) => {
      const copy = join(this.directory, `${name}.pem`);
      writeFileSync(copy, `${pem}\n`, { mode: 0o600 });
      this.#own(copy);
      return `--ssl-${name}=${copy}`;
    });
  }

  get socket(): string {
    return join(this.directory, "sock");
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const child = spawn(
      SERVER,
      [
        "--no-defaults",
        `--datadir=${this.#data}`,
        `--socket=${this.socket}`,
        `--port=${this.port}`,
        "--bind-address=127.0.0.1",
        `--pid-file=${join(this.directory, "pid")}`,
        `--log-error=${join(this.directory, "log")}`,
        `--tmpdir=${this.directory}`,
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=8M",
        "--skip-name-resolve",
        ...this.#tls,
      ],
      { ...this.#identity, cwd: this.directory, stdio: "ignore" },
    );
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
    for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end && child.exitCode === null; await sleep(50)) {
      if (await this.#answers()) return;
    }
    throw new Error(`MariaDB is not ready:\n${this.#log()}`);
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    this.#child?.kill(signal);
    await this.#ended;
    this.#child = undefined;
  }

  /** A stopped server keeps its connections and answers nothing. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  /** Runs one statement after the other as root; resolves to the rows of the last one. */
  async sql(...statements: readonly string[]): Promise<unknown> {
    const connection = await mysql.createConnection({ socketPath: this.socket, user: "root" });
    try {
      let rows: unknown;
      for (const statement of statements) [rows] = await connection.query(statement);
      return rows;
    } finally {
      await connection.end();
    }
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  get #data(): string {
    return join(this.directory, "data");
  }

  #own(path: string): void {
    if (this.#identity) chownSync(path, this.#identity.uid, this.#identity.gid);
  }

  async #answers(): Promise<boolean> {
    try {
      await this.sql("SELECT 1");
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error) return false;
      throw error;
    }
  }

  #log(): string {
    const path = join(this.directory, "log");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }
}
