/** test/bench/signing.ts: `npm run bench -- signing`: messages accepted a second where they are signed, and where a Milter looks at them:
 *  Postern's own signatures (RSA-2048, Ed25519, both) beside Postfix with OpenDKIM, and both servers with the same Milter that does
 *  nothing. Everything is put on hold, so accepting alone is measured. Needs root, Postfix and OpenDKIM. */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { generateLoad } from "../load/generator.ts";
import { eventually } from "../testbed/eventually.ts";
import { TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { BENCH_OPTIONS } from "./modes.ts";
import { startNoopMilter } from "./noop-milter.ts";

const { values } = parseArgs({ options: BENCH_OPTIONS.signing, allowPositionals: true });
const COUNTS = { messages: Number(values.messages), sessions: Number(values.sessions), rounds: Number(values.rounds) };
const START_MS = 20_000;

const HOLD = `mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_restrictions = check_client_access static:HOLD
smtpd_client_connection_count_limit = 0
milter_macro_daemon_name = ORIGINATING`;

interface Mode {
  readonly name: string;
  readonly server: "Postfix" | "Postern";
  readonly settings: string;
}

// OpenDKIM takes neither configuration nor key from where everybody can write.
const directory = mkdtempSync("/run/signing-bench-");
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const ed = generateKeyPairSync("ed25519").privateKey;
file("rsa.pem", String(rsa.export({ type: "pkcs8", format: "pem" })));
file("ed.pem", String(ed.export({ type: "pkcs8", format: "pem" })));
const ports = { openDkim: await freePort(), noop: await freePort() };
const noop = await startNoopMilter(ports.noop);
const openDkim = startOpenDkim();
try {
  await eventually(() => listening(ports.openDkim), START_MS);
  await report();
} finally {
  noop.stop();
  openDkim.kill();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);

async function report(): Promise<void> {
  process.stdout.write("| | Postfix, accepted/s | Postern, 2 workers | × Postfix |\n|---|---|---|---|\n");
  const milter = (port: number) => `smtpd_milters = inet:127.0.0.1:${port}`;
  const signed = (lines: readonly string[]) =>
    `local_header_rewrite_clients = permit_mynetworks\npostern_dkim_signing_file = ${file("keys", lines.map((line) => `example.org ${line}\n`).join(""))}`;
  const postfix = new Map<string, number>();
  const modes: readonly (Mode & { readonly beside: string })[] = [
    { name: "nothing", server: "Postfix", settings: "", beside: "" },
    { name: "nothing", server: "Postern", settings: "", beside: "nothing" },
    { name: "OpenDKIM, RSA-2048", server: "Postfix", settings: milter(ports.openDkim), beside: "" },
    {
      name: "own signature, RSA-2048",
      server: "Postern",
      settings: signed(["r rsa.pem"]),
      beside: "OpenDKIM, RSA-2048",
    },
    { name: "own signature, Ed25519", server: "Postern", settings: signed(["e ed.pem"]), beside: "OpenDKIM, RSA-2048" },
    {
      ...{ name: "own signatures, both", server: "Postern" },
      settings: signed(["r rsa.pem", "e ed.pem"]),
      beside: "OpenDKIM, RSA-2048",
    },
    { name: "OpenDKIM, RSA-2048", server: "Postern", settings: milter(ports.openDkim), beside: "OpenDKIM, RSA-2048" },
    { name: "a Milter that does nothing", server: "Postfix", settings: milter(ports.noop), beside: "" },
    {
      ...{ name: "a Milter that does nothing", server: "Postern" },
      settings: milter(ports.noop),
      beside: "a Milter that does nothing",
    },
  ];
  for (const mode of modes) {
    const rate = await measure(mode);
    if (mode.server === "Postfix") {
      postfix.set(mode.name, rate);
      continue;
    }
    const base = postfix.get(mode.beside) ?? Number.NaN;
    const compared = mode.beside === mode.name ? "" : ` (${mode.beside})`;
    process.stdout.write(
      `| ${mode.name} | ${base.toFixed(0)}${compared} | ${rate.toFixed(0)} | ${(rate / base).toFixed(1)} |\n`,
    );
  }
}

/** Messages a second: the median of the rounds behind one that warms up. */
async function measure({ server, settings }: Mode): Promise<number> {
  const port = await freePort();
  const stop = server === "Postfix" ? await startPostfix(port, settings) : await startPostern(port, settings);
  const rates: number[] = [];
  try {
    for (let round = 0; round <= COUNTS.rounds; round++) {
      const load = { port, messages: COUNTS.messages, sessions: COUNTS.sessions, sizeBytes: 4096, perConnection: 1 };
      const { perSecond } = await generateLoad({ ...load, from: "bench@example.org", to: "bench@sink.example" });
      if (round > 0) rates.push(perSecond);
    }
  } finally {
    await stop();
  }
  return rates.sort((a, b) => a - b)[rates.length >> 1] ?? Number.NaN;
}

async function startPostfix(port: number, settings: string): Promise<() => Promise<void>> {
  const postfix = new TestPostfix(port, { mainCf: `${HOLD}\n${settings}\ndefault_process_limit = 200` });
  await postfix.start();
  return async () => postfix.stop();
}

async function startPostern(port: number, settings: string): Promise<() => Promise<void>> {
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10\npostern_workers = 2\n${HOLD}\n${settings}`,
    masterCf: `${port} inet n - n - - smtpd\n`,
  });
  await server.start();
  return () => server[Symbol.asyncDispose]();
}

function startOpenDkim(): ChildProcess {
  const settings = `Socket inet:${ports.openDkim}@127.0.0.1\nDomain example.org\nSelector r\nKeyFile ${join(directory, "rsa.pem")}
Canonicalization relaxed/relaxed\nMode s\nSyslog no\nUserID root\nInternalHosts 192.0.2.1\nMacroList daemon_name=ORIGINATING\n`;
  return spawn("/usr/sbin/opendkim", ["-f", "-x", file("opendkim.conf", settings)], { stdio: "ignore" });
}

/** Rejects while nobody does. */
function listening(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}
