/** test/testbed/server.ts: a real Postern in a temporary directory: real processes, real files, loopback ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { askControl } from "../../src/net/control-socket.ts";
import { readableCheckout } from "./checkout.ts";

const READY_TIMEOUT_MS = 30_000;

export interface ServerFiles {
  /** Lines of main.cf after the ones every test server has. */
  readonly mainCf: string;
  readonly masterCf: string;
  /** Further files in the config directory. */
  readonly files?: Readonly<Record<string, string>>;
}

export class TestServer {
  readonly directory: string;
  #child: ChildProcess | undefined;
  #errors = "";

  constructor(files: ServerFiles) {
    this.directory = mkdtempSync(join(tmpdir(), "postern-test-"));
    chmodSync(this.directory, 0o755);
    this.write("main.cf", `${this.#preamble()}${files.mainCf}\n`);
    this.write("master.cf", files.masterCf);
    for (const [name, content] of Object.entries(files.files ?? {})) this.write(name, content);
  }

  /** What every test server needs, so that nothing outside its directory is touched. */
  #preamble(): string {
    return `queue_directory = ${this.directory}/spool
data_directory = ${this.directory}/spool
maillog_file = ${this.directory}/maillog
postern_user_file = ${this.directory}/users
mail_owner = nobody
inet_interfaces = 127.0.0.1
myhostname = mail.example.org
mydomain = example.org
alias_maps =
`;
  }

  write(name: string, content: string): void {
    writeFileSync(join(this.directory, name), content);
  }

  append(name: string, content: string): void {
    appendFileSync(join(this.directory, name), content);
  }

  /** What Node is called with to run a CLI command. */
  words(args: readonly string[]): readonly string[] {
    return [join(readableCheckout(), "bin/postern.js"), "-c", this.directory, ...args];
  }

  /** Runs one CLI command; resolves to its output and exit code. */
  run(args: readonly string[], input = ""): Promise<{ code: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, this.words(args));
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("latin1")));
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("latin1")));
      child.stdin.end(input);
      child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    });
  }

  async addUser(login: string, password: string, options: readonly string[] = []): Promise<void> {
    const result = await this.run(["user", "add", login, "--password-stdin", ...options], `${password}\n`);
    if (result.code !== 0) throw new Error(`user add: ${result.stderr}`);
  }

  /** Resolves when the server is ready; rejects with what it said if it ends first. `under`: the words of a program that
   *  runs it, such as strace; kill() and ended() are then about that program. */
  start(under: readonly string[] = []): Promise<void> {
    const words = [...under, process.execPath, ...this.words(["start-fg"])];
    const child = spawn(words[0] ?? "", words.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    child.stderr.on("data", (chunk: Buffer) => (this.#errors += chunk.toString("latin1")));
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ready: ${this.#errors}${this.log()}`)), READY_TIMEOUT_MS);
      child.stdout.on("data", (chunk: Buffer) => {
        if (!chunk.includes("postern: ready")) return;
        clearTimeout(late);
        resolve();
      });
      child.on("exit", (code) => {
        clearTimeout(late);
        reject(new Error(`start-fg ended with ${code}: ${this.#errors}`));
      });
    });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async workerPids(): Promise<readonly number[]> {
    const status = (await askControl(join(this.directory, "spool/public/control"), { op: "status", args: {} })) as {
      workers: { pid: number }[];
    };
    return status.workers.map((worker) => worker.pid);
  }

  log(): string {
    try {
      return readFileSync(join(this.directory, "maillog"), "latin1");
    } catch {
      return "";
    }
  }

  /** Waits until the log matches. */
  async logged(pattern: RegExp, timeoutMs = 10_000): Promise<string> {
    for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(30)) {
      const found = pattern.exec(this.log());
      if (found) return found[0];
    }
    throw new Error(`The log never matched ${pattern}:\n${this.log()}`);
  }

  /** Waits for the end of the master, however it comes. */
  ended(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => child.once("exit", () => resolve()));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async stop(): Promise<void> {
    this.kill("SIGTERM");
    await this.ended();
  }

  /** Stops and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Ports of one test process, below those that the system gives out by itself: a port that nobody listens on yet, or that
 *  nobody is to listen on, is not taken by another test that runs at the same time. */
const PORTS_EACH = 31;
const FIRST_PORT = 10_000;
const LAST_PORT = 32_000;
let nextPort = FIRST_PORT + ((process.pid * PORTS_EACH) % (LAST_PORT - FIRST_PORT));

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let tried = FIRST_PORT; tried < LAST_PORT; tried++) {
    const port = nextPort;
    nextPort = port + 1 < LAST_PORT ? port + 1 : FIRST_PORT;
    if (await isFree(port)) return port;
  }
  throw new Error("no port is free");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
