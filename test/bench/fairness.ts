/** test/bench/fairness.ts: `npm run bench -- fairness`: how long single messages take while one mailing goes to the same next hop.
 *  The next hop takes its time for each delivery, so the mailing takes about a minute. */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateLoad } from "../load/generator.ts";
import { startSink } from "../load/sink.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { BENCH_OPTIONS } from "./modes.ts";

const { values } = parseArgs({ options: BENCH_OPTIONS.fairness, allowPositionals: true });
const [recipients, each, delayMs] = [values.recipients, values.each, values.delay].map(Number) as [
  number,
  number,
  number,
];
const SINGLE = "single-";
const TIMEOUT_MS = 600_000;

/** When each single message was accepted, and when it arrived. */
const sentAt = new Map<string, number>();
const delays: number[] = [];
let deliveries = 0;

const sink = await startSink({
  onMessage: async ({ id }) => {
    await sleep(delayMs);
    deliveries++;
    const at = id?.startsWith(SINGLE) ? sentAt.get(id) : undefined;
    if (at !== undefined) delays.push(performance.now() - at);
  },
});
const port = await freePort();
const server = new TestServer({
  mainCf: `compatibility_level = 3.10
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
postern_workers = ${values.workers}
mydestination =
relayhost = [127.0.0.1]:${sink.port}`,
  masterCf: `${port} inet n - n - - smtpd\n`,
});
await server.start();
const begin = performance.now();
let over = false;
const mailing = sendMailing().then(async () => {
  while (!(await isEmpty()) && performance.now() - begin < TIMEOUT_MS) await sleep(500);
  over = true;
});
await sleep(1000);
while (!over) {
  const sent = generateLoad({
    port,
    messages: 1,
    sizeBytes: 1000,
    idPrefix: `${SINGLE}${sentAt.size}`,
    to: "one@example.net",
    onAccepted: (id) => void sentAt.set(id, performance.now()),
  });
  await Promise.all([sent, sleep(500)]);
}
await mailing;
for (const end = Date.now() + 60_000; delays.length < sentAt.size && Date.now() < end; ) await sleep(100);
delays.sort((a, b) => a - b);
const at = (share: number) =>
  ((delays[Math.min(delays.length - 1, Math.floor(share * delays.length))] ?? Number.NaN) / 1000).toFixed(1);
process.stdout.write(
  `mailing of ${recipients} recipients, ${each} in a message: ${deliveries} deliveries in ${((performance.now() - begin) / 1000).toFixed(0)} s\n`,
);
process.stdout.write(
  `${delays.length} of ${sentAt.size} single messages arrived: median ${at(0.5)} s, 90 % within ${at(0.9)} s, longest ${at(1)} s\n`,
);
await server[Symbol.asyncDispose]();
await sink.close();
process.exit(delays.length < sentAt.size ? 1 : 0);

/** Over one connection, as a mailing program does. */
async function sendMailing(): Promise<void> {
  if (each === 1) {
    await generateLoad({
      port,
      messages: recipients,
      sessions: 10,
      perConnection: Number.POSITIVE_INFINITY,
      sizeBytes: 2000,
      to: "many@example.net",
    });
    return;
  }
  for (let first = 0; first < recipients; first += each) {
    const to = Array.from({ length: Math.min(each, recipients - first) }, (_, i) => `u${first + i}@example.net`);
    await generateLoad({ port, messages: 1, sizeBytes: 2000, to });
  }
}

/** Nothing but what came in the last second. */
async function isEmpty(): Promise<boolean> {
  const { stdout } = await server.run(["queue", "list", "--older", "3s", "--limit", "1"]);
  return stdout.startsWith("No message.");
}
