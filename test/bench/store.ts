/** test/bench/store.ts: what the store alone can take: 4 KiB messages from 100 concurrent appenders, kept only, and kept and
 *  settled. Usage: node test/bench/store.ts DIRECTORY [SECONDS]. The directory decides the disk; it is made and removed. */
import { rmSync } from "node:fs";
import process from "node:process";
import { systemClock } from "../../src/base/clock.ts";
import { Log } from "../../src/log/log.ts";
import { asAddress } from "../../src/mail/address.ts";
import { QueueIdAllocator } from "../../src/mail/queue-id.ts";
import { openStore } from "../../src/queue/sqlite-store.ts";
import type { NewMessage, QueueStore } from "../../src/queue/store.ts";

const APPENDERS = 100;
const BODY = new Uint8Array(4096).fill(65);
const HEADER = new Uint8Array(600).fill(66);

const [directory, seconds = "3"] = process.argv.slice(2);
if (directory === undefined) throw new Error("Usage: node test/bench/store.ts DIRECTORY [SECONDS]");
const log = new Log({
  sink: (r) => process.stderr.write(`${r.text}\n`),
  now: systemClock.now,
  tag: "bench",
  id: 1,
});

function message(ids: QueueIdAllocator): NewMessage {
  const to = asAddress("someone@example.net");
  return {
    envelope: {
      queueId: ids.next(),
      sender: asAddress("sender@example.org"),
      arrivalMs: systemClock.now(),
      smtputf8: false,
      body: "8BITMIME",
      origin: {
        clientName: "client.example.org",
        clientAddress: "192.0.2.1",
        helo: "client.example.org",
        protocol: "ESMTP",
        saslMethod: "PLAIN",
        saslUsername: "someone",
        service: "submission",
      },
    },
    header: HEADER.slice(),
    body: { kind: "inline", bytes: BODY.slice() },
    recipients: [{ address: to, original: to, lane: "smtp:example.net", dueMs: systemClock.now() }],
    hold: false,
  };
}

async function measure(name: string, run: (store: QueueStore, ids: QueueIdAllocator) => Promise<void>): Promise<void> {
  rmSync(directory ?? "", { recursive: true, force: true });
  const store = await openStore({ directory: directory ?? "", shard: 0, inlineLimit: 65_536, log, clock: systemClock });
  const ids = new QueueIdAllocator({
    nowMicros: systemClock.nowMicros,
    shard: 0,
    long: false,
    floorMicros: store.floorMicros,
  });
  const end = systemClock.monotonic() + Number(seconds) * 1000;
  const delays: number[] = [];
  await Promise.all(
    Array.from({ length: APPENDERS }, async () => {
      while (systemClock.monotonic() < end) {
        const start = systemClock.monotonic();
        await run(store, ids);
        delays.push(systemClock.monotonic() - start);
      }
    }),
  );
  delays.sort((a, b) => a - b);
  const quantile = (q: number) => (delays[Math.floor(delays.length * q)] ?? 0).toFixed(1);
  const rate = Math.round(delays.length / Number(seconds));
  process.stdout.write(`${name}: ${rate}/s, ms p50 ${quantile(0.5)} p99 ${quantile(0.99)} max ${quantile(0.99999)}\n`);
  await store.close();
  rmSync(directory ?? "", { recursive: true, force: true });
}

await measure("append", async (store, ids) => {
  await store.append(message(ids), { claim: true });
});
await measure("append + settle(done)", async (store, ids) => {
  const claimed = await store.append(message(ids), { claim: true });
  if (claimed) await store.settle({ queueId: claimed.envelope.queueId, done: [1], deferred: [], append: [] });
});
