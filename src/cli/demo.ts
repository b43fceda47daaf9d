/** cli/demo.ts: `npm start`: a whole server in var/demo/, one message through it, one stranger refused, then it stays up. */

import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { systemClock } from "../base/clock.ts";
import { Master } from "../master/master.ts";
import { startDemoSink } from "../net/demo-sink.ts";
import { speak } from "../net/dialogue.ts";
import { BindError, bindSocket } from "../net/listener.ts";
import { DEMO_HOSTNAME, type DemoPorts, writeDemoFiles } from "./demo-config.ts";
import { setPassword } from "./demo-users.ts";
import { onSignals } from "./server-commands.ts";
import { type Command, EXIT, type Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const USERS = ["alice@demo.example", "bob@demo.example"] as const;
/** Ports of the doors that a person may want to remember. */
const WANTED = { submission: 2587, submissions: 2465, smtp: 2525, sink: 2526 } as const;
const RELAY_TIMEOUT_MS = 10_000;

export const runDemo: Command = async (_args, terminal) => {
  const root = resolve("var", "demo");
  const ports = choosePorts(terminal);
  const received: string[] = [];
  const sink = await startDemoSink(ports.sink, (content) => received.push(content));
  const configDirectory = writeDemoFiles(root, ports, systemClock.now());
  const passwords = await makeUsers(root);
  const log = join(root, "maillog");
  if (existsSync(log)) unlinkSync(log);
  terminal.stdout(`postern ${VERSION}: starting from ${configDirectory}/main.cf and master.cf\n`);
  const workersAsRoot = process.getuid?.() === 0 && !giveToNobody(root);
  if (workersAsRoot)
    terminal.stdout("Only root can read this directory: this demo's workers run as root, on loopback only.\n");
  const master = await Master.start({
    workersAsRoot,
    configDirectory,
    mailVersion: VERSION,
    say: (line) => terminal.stderr(`${line}\n`),
    defaultLog: log,
  });
  onSignals(master);
  await show({ terminal, ports, passwords, log, received });
  terminal.stdout(settings(ports, passwords));
  terminal.stdout("Running. Ctrl-C stops it.\n");
  await master.stopped;
  await sink.close();
  return EXIT.done;
};

/** Gives the mail directories to mail_owner (nobody) if he can get there at all. */
function giveToNobody(root: string): boolean {
  for (let path = root; path !== dirname(path); path = dirname(path)) {
    if (path !== root && (statSync(path).mode & 0o001) === 0) return false;
  }
  const nobody = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync("/etc/passwd", "latin1"));
  if (!nobody) return false;
  chmodSync(root, 0o755);
  chownSync(join(root, "mail"), Number(nobody[1]), Number(nobody[2]));
  chmodSync(join(root, "spool"), 0o755);
  return true;
}

/** The wanted port, or the next free one, saying so. */
function choosePorts(terminal: Terminal): DemoPorts {
  const ports: Record<keyof DemoPorts, number> = { ...WANTED };
  for (const name of Object.keys(WANTED) as (keyof DemoPorts)[]) {
    ports[name] = freePort(WANTED[name]);
    if (ports[name] === WANTED[name]) continue;
    terminal.stdout(`Port ${WANTED[name]} is in use; ${name} is on ${ports[name]} instead.\n`);
  }
  return ports;
}

function freePort(wanted: number): number {
  for (const port of [wanted, wanted + 10_000, 0]) {
    try {
      const socket = bindSocket("127.0.0.1", port);
      socket.close();
      return socket.port;
    } catch (error) {
      if (!(error instanceof BindError) || error.code !== "EADDRINUSE") throw error;
    }
  }
  throw new Error(`No free port near ${wanted}`);
}

async function makeUsers(root: string): Promise<ReadonlyMap<string, string>> {
  const passwords = new Map<string, string>();
  for (const login of USERS) {
    const password = randomBytes(9).toString("base64url");
    passwords.set(login, password);
    await setPassword(join(root, "users"), login, password);
  }
  return passwords;
}

interface Show {
  readonly terminal: Terminal;
  readonly ports: DemoPorts;
  readonly passwords: ReadonlyMap<string, string>;
  readonly log: string;
  readonly received: readonly string[];
}

async function show({ terminal, ports, passwords, log, received }: Show): Promise<void> {
  const [login] = USERS;
  const plain = Buffer.from(`\0${login}\0${passwords.get(login)}`).toString("base64");
  const head = [`EHLO laptop.${DEMO_HOSTNAME}`, "STARTTLS", `EHLO laptop.${DEMO_HOSTNAME}`];
  const envelope = [`MAIL FROM:<${login}>`, "RCPT TO:<friend@example.net>"];
  const message = `From: ${login}\r\nTo: friend@example.net\r\nSubject: Through the postern\r\n\r\nIt works.\r\n.`;
  terminal.stdout("\nAlice logs in on the submission port and sends a message:\n\n");
  const sent = await speak(ports.submission, [...head, `AUTH PLAIN ${plain}`, ...envelope, "DATA", message, "QUIT"]);
  terminal.stdout(
    indent(sent.map((line) => (line.startsWith("C: AUTH PLAIN") ? "C: AUTH PLAIN (her password)" : line))),
  );
  terminal.stdout("\nA stranger tries the same:\n\n");
  terminal.stdout(indent(await speak(ports.submission, [...head, ...envelope, "QUIT"])));
  await waitFor(() => received.length > 0);
  terminal.stdout("\nWhat the next hop received:\n\n");
  terminal.stdout(indent((received[0] ?? "nothing: see the log").split("\r\n")));
  await waitFor(() => existsSync(log) && statSync(log).size > 0 && readFileSync(log, "latin1").includes("removed"));
  terminal.stdout(`\nThe log (${log}):\n\n`);
  terminal.stdout(indent(existsSync(log) ? readFileSync(log, "latin1").trimEnd().split("\n") : []));
}

function indent(lines: readonly string[]): string {
  return `${lines.map((line) => `  ${line}`).join("\n")}\n`;
}

async function waitFor(done: () => boolean): Promise<void> {
  const end = systemClock.monotonic() + RELAY_TIMEOUT_MS;
  while (!done() && systemClock.monotonic() < end) await systemClock.sleep(50);
}

function settings(ports: DemoPorts, passwords: ReadonlyMap<string, string>): string {
  const users = [...passwords].map(([login, password]) => `  ${login}   password ${password}`).join("\n");
  const [login] = USERS;
  const password = passwords.get(login) ?? "";
  return `
Users (new passwords at each start):
${users}

Try it yourself:
  swaks --server 127.0.0.1:${ports.submission} --tls --auth PLAIN --auth-user ${login} \\
        --auth-password ${password} --from ${login} --to friend@example.net
  printf 'Subject: hi\\r\\n\\r\\nhello\\r\\n' | curl --ssl-reqd -k smtp://127.0.0.1:${ports.submission} \\
        -u '${login}:${password}' --mail-from ${login} --mail-rcpt friend@example.net -T -
  Thunderbird: server 127.0.0.1, port ${ports.submissions}, SSL/TLS (or ${ports.submission}, STARTTLS),
        normal password, user name ${login}; accept the self-signed certificate.
Port ${ports.smtp} takes mail for demo.example from everybody and relays for nobody.

`;
}
