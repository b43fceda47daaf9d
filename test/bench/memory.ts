/** test/bench/memory.ts: `npm run bench -- memory`: memory of two workers under 50 MiB messages, three in a row, and under many
 *  idle sessions, in clear and with TLS; each on a server of its own. "milters": the messages also get two DKIM signatures and
 *  pass two Milters. Linux only: reads VmRSS and PSS from /proc. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { generateLoad } from "../load/generator.ts";
import { type Sink, startSink } from "../load/sink.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { BENCH_OPTIONS } from "./modes.ts";
import { startNoopMilter } from "./noop-milter.ts";

const { values } = parseArgs({ options: BENCH_OPTIONS.memory, allowPositionals: true });
const MIB = 1024 * 1024;
/** What a start or a burst leaves behind is collected when a worker has been quiet for some seconds (base/garbage.ts). */
const QUIET_MS = 12_000;
const SIGNING_KEYS = "example.org r rsa.pem\nexample.org e ed.pem\n";

interface Site {
  readonly sink: Sink;
  readonly port: number;
  readonly tlsPort: number;
  /** Signs, and asks two Milters. */
  readonly filteredPort: number;
  readonly pids: readonly number[];
}

const MEASURES: ReadonlyMap<string, (site: Site) => Promise<string>> = new Map([
  ["idle", idleInClear],
  ["tls", idleWithTls],
  ["large", largeMessages],
  ["milters", filteredMessages],
]);

for (const [name, measure] of MEASURES) {
  if (values.only === undefined || values.only === name) process.stdout.write(`${await onOwnServer(measure)}\n`);
}
process.exit(0);

async function onOwnServer(measure: (site: Site) => Promise<string>): Promise<string> {
  const sink = await startSink();
  const [port, tlsPort, filteredPort] = [await freePort(), await freePort(), await freePort()];
  const milters = [await startNoopMilter(await freePort()), await startNoopMilter(await freePort())];
  const made = makeSelfSigned(["mail.example.org"], Date.now());
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10\nrelayhost = [127.0.0.1]:${sink.port}\nmynetworks = 127.0.0.0/8\npostern_workers = 2
message_size_limit = 104857600\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no`,
    masterCf: `${port} inet n - n - - smtpd\n${tlsPort} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n${filteredPort} inet n - n - - smtpd
  -o smtpd_milters=${milters.map((milter) => `inet:127.0.0.1:${milter.port}`).join(",")}
  -o local_header_rewrite_clients=permit_mynetworks -o postern_dkim_signing_file=$config_directory/keys\n`,
    files: { "site.pem": made.keyPem + made.certificatePem, keys: SIGNING_KEYS, ...keyFiles() },
  });
  server.append("main.cf", `smtpd_tls_security_level = may\nsmtpd_tls_chain_files = ${server.directory}/site.pem\n`);
  await server.start();
  try {
    return await measure({ sink, port, tlsPort, filteredPort, pids: await server.workerPids() });
  } finally {
    await server[Symbol.asyncDispose]();
    await sink.close();
    for (const milter of milters) milter.stop();
  }
}

async function filteredMessages(site: Site): Promise<string> {
  return `two signatures, two Milters: ${await largeMessages({ ...site, port: site.filteredPort })}`;
}

/** By name. */
function keyFiles(): Readonly<Record<string, string>> {
  const pem = (key: KeyObject) => String(key.export({ type: "pkcs8", format: "pem" }));
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  return { "rsa.pem": pem(rsa), "ed.pem": pem(generateKeyPairSync("ed25519").privateKey) };
}

async function largeMessages({ sink, port, pids }: Site): Promise<string> {
  const peaks: number[] = [];
  for (let n = 0; n < 3; n++) {
    await sleep(1500);
    const before = sum(pids, "status", /VmRSS:\s+(\d+)/);
    let peak = 0;
    let done = false;
    const sent = generateLoad({ port, messages: 1, sizeBytes: 50 * MIB, retry: true }).then(() => {
      done = true;
    });
    const arrived = sink.counts.messages + 1;
    while (!done || sink.counts.messages < arrived) {
      peak = Math.max(peak, sum(pids, "status", /VmRSS:\s+(\d+)/) - before);
      await sleep(10);
    }
    await sent;
    peaks.push(peak);
  }
  const shown = peaks.map((peak) => peak.toFixed(1));
  return `50 MiB message, third in a row, peak minus before: ${shown[2]} MiB (first and second: ${shown[0]}, ${shown[1]})`;
}

async function idleInClear({ port, pids }: Site): Promise<string> {
  const count = Number(values.idle);
  const { pssMib, before } = await idleSessions(pids, count, (from) => net.connect({ port, ...from }));
  return `${count} idle sessions, 2 workers, PSS: ${pssMib.toFixed(0)} MiB in all, ${before.toFixed(0)} MiB without`;
}

async function idleWithTls({ tlsPort, pids }: Site): Promise<string> {
  const count = Number(values.tls);
  const { pssMib, before } = await idleSessions(pids, count, (from) =>
    connectTls({ port: tlsPort, ...from, rejectUnauthorized: false }),
  );
  return `${count} idle TLS sessions: ${(((pssMib - before) * 1024) / count).toFixed(0)} KiB each`;
}

type Connect = (from: { readonly host: string; readonly localAddress: string }) => net.Socket;

async function idleSessions(
  pids: readonly number[],
  count: number,
  connect: Connect,
): Promise<{ pssMib: number; before: number }> {
  await sleep(QUIET_MS);
  const before = sum(pids, "smaps_rollup", /^Pss:\s+(\d+)/m);
  const sockets: net.Socket[] = [];
  for (let n = 0; n < count; n++) {
    // Loopback has enough addresses for more connections than one has ports.
    const socket = connect({ host: "127.0.0.1", localAddress: `127.0.${1 + (n >> 8)}.${1 + (n & 127)}` });
    sockets.push(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("data", () => resolve());
      socket.once("error", reject);
    });
  }
  await sleep(QUIET_MS);
  const pssMib = sum(pids, "smaps_rollup", /^Pss:\s+(\d+)/m);
  for (const socket of sockets) socket.destroy();
  return { pssMib, before };
}

/** MiB over the workers. */
function sum(pids: readonly number[], file: string, field: RegExp): number {
  return (
    pids.reduce(
      (total, pid) => total + Number(field.exec(readFileSync(`/proc/${pid}/${file}`, "latin1"))?.[1] ?? 0),
      0,
    ) / 1024
  );
}
