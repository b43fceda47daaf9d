/** test/bench/memory.ts: memory of the workers: three 50 MiB messages in a row, and many idle sessions,
 *  in clear and with TLS. Linux only: reads VmRSS and PSS from /proc. Usage: memory.ts [--idle N] [--tls N] */
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { generateLoad } from "../load/generator.ts";
import { startSink } from "../load/sink.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const { values } = parseArgs({
  options: { idle: { type: "string", default: "10000" }, tls: { type: "string", default: "2000" } },
});
const MIB = 1024 * 1024;

const sink = await startSink();
const [port, tlsPort] = [await freePort(), await freePort()];
const made = makeSelfSigned(["mail.example.org"], Date.now());
const server = new TestServer({
  mainCf: `compatibility_level = 3.10\nrelayhost = [127.0.0.1]:${sink.port}\nmynetworks = 127.0.0.0/8\npostern_workers = 2
message_size_limit = 104857600\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination`,
  masterCf: `${port} inet n - n - - smtpd\n${tlsPort} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n`,
  files: { "site.pem": made.keyPem + made.certificatePem },
});
server.append("main.cf", `smtpd_tls_security_level = may\nsmtpd_tls_chain_files = ${server.directory}/site.pem\n`);
await server.start();
const pids = await server.workerPids();
process.stdout.write(`50 MiB message, third in a row, peak minus before: ${(await largeMessages()).toFixed(1)} MiB\n`);
const idle = await idleSessions(Number(values.idle), (from) => net.connect({ port, ...from }));
process.stdout.write(
  `${idle.count} idle sessions, 2 workers, PSS: ${idle.pssMib.toFixed(0)} MiB in all, ${idle.before.toFixed(0)} MiB without\n`,
);
const secured = await idleSessions(Number(values.tls), (from) =>
  connectTls({ port: tlsPort, ...from, rejectUnauthorized: false }),
);
const each = ((secured.pssMib - secured.before) * 1024) / secured.count;
process.stdout.write(`${secured.count} idle TLS sessions: ${each.toFixed(0)} KiB each\n`);
await server[Symbol.asyncDispose]();
await sink.close();
process.exit(0);

async function largeMessages(): Promise<number> {
  let peak = 0;
  for (let n = 0; n < 3; n++) {
    await sleep(1500);
    const before = sum("status", /VmRSS:\s+(\d+)/);
    peak = 0;
    let done = false;
    const sent = generateLoad({ port, messages: 1, sizeBytes: 50 * MIB, retry: true }).then(() => {
      done = true;
    });
    const arrived = sink.counts.messages + 1;
    while (!done || sink.counts.messages < arrived) {
      peak = Math.max(peak, sum("status", /VmRSS:\s+(\d+)/) - before);
      await sleep(10);
    }
    await sent;
  }
  return peak;
}

type Connect = (from: { readonly host: string; readonly localAddress: string }) => net.Socket;

async function idleSessions(
  count: number,
  connect: Connect,
): Promise<{ count: number; pssMib: number; before: number }> {
  await sleep(3000);
  const before = sum("smaps_rollup", /^Pss:\s+(\d+)/m);
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
  await sleep(3000);
  const pssMib = sum("smaps_rollup", /^Pss:\s+(\d+)/m);
  for (const socket of sockets) socket.destroy();
  return { count, pssMib, before };
}

/** MiB over both workers. */
function sum(file: string, field: RegExp): number {
  return (
    pids.reduce(
      (total, pid) => total + Number(field.exec(readFileSync(`/proc/${pid}/${file}`, "latin1"))?.[1] ?? 0),
      0,
    ) / 1024
  );
}
