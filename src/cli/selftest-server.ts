/** cli/selftest-server.ts: the private server of `postern selftest`: a temporary directory with the operator's configuration under
 *  other ports, a user, a next hop that keeps what it gets, and a `postern start-fg` over it. Nothing of the real server
 *  is touched: not its queue, not its ports, not its log. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ownDomainOf, privateConfiguration } from "../admin/selftest-configuration.ts";
import type { SelftestSite } from "../admin/selftest-player.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { allReferences } from "../config/file-references.ts";
import { scopeOf } from "../config/scope.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type DemoSink, startDemoSink } from "../net/demo-sink.ts";
import { bindSocket } from "../net/listener.ts";
import { makeSelfSigned } from "../net/self-signed.ts";
import { setPassword } from "./demo-users.ts";

const READY_MS = 60_000;
const ARRIVAL_MS = 15_000;
/** A message that is delivered twice, or that nobody sent, comes at once if it comes. */
const OTHER_MESSAGE_MS = 20;
/** A directory of links to the operator's files; what is written by us lies beside it, never among them. */
const CONFIGURATION = "configuration";
/** Holds a message apart from the next, and shows in patterns where it ends. */
const END = "END";

export interface PrivateServer {
  readonly site: SelftestSite;
  /** What is not as in the operator's configuration, for him to read. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** The message has what the server said, with the operator's own files and lines. */
export class PrivateServerError extends Error {
  override readonly name = "PrivateServerError";
  /** Of `postern start-fg`; undefined: it was not ready in time, or could not be run. */
  readonly exitCode: number | undefined;

  constructor(message: string, exitCode: number | undefined) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** `elsewhere`: the domain of recipients; nothing is sent there. Rejects with PrivateServerError where it does not start. */
export async function startPrivateServer(snapshot: ConfigSnapshot, elsewhere: string): Promise<PrivateServer> {
  const directory = mkdtempSync(join(tmpdir(), "postern-selftest-"));
  const messages: string[] = [];
  const sink = await startSink(messages);
  let child: ChildProcess | undefined;
  const close = async () => {
    if (child) await ended(child);
    await sink.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    chmodSync(directory, 0o755); // the workers are another user
    linkFiles(resolve(snapshot.configDirectory), join(directory, CONFIGURATION));
    const { configuration, words, notes } = await writeConfiguration(snapshot, directory, sink.port);
    child = await startServer(directory, resolve(snapshot.configDirectory));
    const { endpoints } = configuration;
    words.set("elsewhere", elsewhere).set("to", `someone@${elsewhere}`);
    const deadlines = new Deadlines(systemClock);
    return { site: { endpoints, words, deadlines, arrived: (count) => arrived(messages, count) }, notes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function startSink(messages: string[]): Promise<DemoSink> {
  let envelope: string[] = [];
  return startDemoSink(0, {
    dsn: true,
    asked: (command) => {
      if (command.startsWith("MAIL")) envelope = [];
      envelope.push(command);
    },
    taken: (content) => {
      messages.push(`${envelope.join("\r\n")}\r\n\r\n${content}\r\n${END}`);
    },
  });
}

async function arrived(messages: string[], count: number): Promise<readonly string[]> {
  const until = systemClock.monotonic() + ARRIVAL_MS;
  while (messages.length < count && systemClock.monotonic() < until) await systemClock.sleep(10);
  if (count > 0) await systemClock.sleep(OTHER_MESSAGE_MS);
  return messages.splice(0);
}

/** So that `$config_directory/table` means what it means for the real server. */
function linkFiles(from: string, to: string): void {
  mkdirSync(to, { mode: 0o755 });
  for (const name of readdirSync(from)) {
    if (name !== "main.cf" && name !== "master.cf") symlinkSync(join(from, name), join(to, name));
  }
}

async function writeConfiguration(snapshot: ConfigSnapshot, directory: string, sinkPort: number) {
  const params = scopeOf(snapshot);
  const domain = ownDomainOf(params) ?? params.text("mydomain");
  const login = `selftest@${domain}`;
  const password = randomBytes(12).toString("base64url");
  const unread = unreadable(snapshot);
  const certificate = unread.some(({ parameter }) => /_tls_/.test(parameter))
    ? ownCertificate(directory, domain)
    : undefined;
  const signing = unread.some(({ kind, parameter }) => kind === "signing" || parameter === "postern_dkim_signing_file");
  const notes = [
    ...(certificate === undefined
      ? []
      : ["You may not read the TLS keys: a certificate of its own stands in for yours."]),
    ...(signing ? ["You may not read the DKIM keys: mail is not signed here."] : []),
  ];
  const configuration = privateConfiguration(snapshot, {
    directory,
    sinkPort,
    nextPort: freePort,
    login,
    certificate,
    more: signing ? { postern_dkim_signing_file: "" } : {},
  });
  writeFileSync(join(directory, CONFIGURATION, "main.cf"), configuration.mainCf);
  writeFileSync(join(directory, CONFIGURATION, "master.cf"), configuration.masterCf);
  await setPassword(join(directory, "users"), login, password);
  return { configuration, notes, words: wordsOf(params.text("myhostname"), { domain, login, password }) };
}

function wordsOf(me: string, { domain, login, password }: Readonly<Record<"domain" | "login" | "password", string>>) {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return new Map([
    ["me", me],
    ["domain", domain],
    ["sender", login],
    ["local", `postmaster@${domain}`],
    ["user", base64(login)],
    ["password", base64(password)],
    ["plain", base64(`\0${login}\0${password}`)],
    ["wrong", base64(`\0${login}\0${password}x`)],
    ["unknown", base64(`\0nobody-${login}\0${password}`)],
    ["empty", base64(`\0${login}\0`)],
    ["other", base64(`postmaster@${domain}\0${login}\0${password}`)],
    ["self", base64(`${login}\0${login}\0${password}`)],
  ]);
}

function unreadable(snapshot: ConfigSnapshot) {
  return [...allReferences(snapshot).values()].filter(({ path }) => {
    try {
      accessSync(path, constants.R_OK);
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EACCES";
    }
  });
}

function ownCertificate(directory: string, name: string): string {
  const path = join(directory, "selftest-key-and-cert.pem");
  const { keyPem, certificatePem } = makeSelfSigned([name], systemClock.now());
  writeFileSync(path, keyPem + certificatePem, { mode: 0o600 });
  return path;
}

function freePort(): number {
  const socket = bindSocket("127.0.0.1", 0);
  socket.close();
  return socket.port;
}

/** `original`: the directory that the operator knows his files by. */
function startServer(directory: string, original: string): Promise<ChildProcess> {
  const bin = new URL("../../bin/postern.js", import.meta.url).pathname;
  const copy = join(directory, CONFIGURATION);
  const child = spawn(process.execPath, [bin, "-c", copy, "start-fg"], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  return new Promise((done, reject) => {
    const fail = (why: string, exitCode?: number) => {
      late.cancel();
      void ended(child);
      const told = said.trim().replaceAll(copy, original) || "it said nothing";
      const message = `no server starts with a copy of this configuration (${why}); see also: postern check`;
      reject(new PrivateServerError(`${message}\n${told}`, exitCode));
    };
    const late = systemClock.after(READY_MS, () => fail(`not ready after ${READY_MS / 1000} s`));
    child.stdout.on("data", (chunk: Buffer) => {
      if (!chunk.includes("postern: ready")) return;
      late.cancel();
      done(child);
    });
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code, signal) => fail(`it ended with ${code ?? signal}`, code ?? undefined));
  });
}

/** Ends it and waits for its end. */
function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.removeAllListeners("exit").once("exit", () => done());
    child.kill("SIGTERM");
  });
}
