/** test/bench/backlog.ts: fills the shards of a stopped server with deferred mail, through the store's own operations: half of
 *  it to one provider that is down, half to many domains. Thousands of messages in one commit, so a million takes minutes. */
import { chownSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { asAddress } from "../../src/mail/address.ts";
import type { Envelope } from "../../src/mail/envelope.ts";
import { QueueIdAllocator } from "../../src/mail/queue-id.ts";
import { keyOf } from "../../src/queue/schema.ts";
import { openShard, type Shard } from "../../src/queue/shard.ts";

const IN_ONE_COMMIT = 5000;
const CHECKPOINT_AT_BYTES = 256 << 20;
const DOMAINS = 5000;
const HEADER = new Uint8Array(600).fill(66);

export interface Backlog {
  /** The queue directory with the shards. */
  readonly directory: string;
  readonly shards: number;
  readonly messages: number;
  readonly bodyBytes: number;
  /** Port of a sink on all loopback addresses, and one where nobody listens. */
  readonly livePort: number;
  readonly deadPort: number;
  /** Epoch milliseconds between which retries are due, evenly. */
  readonly dueFromMs: number;
  readonly dueToMs: number;
}

/** transport_maps that agrees with the lanes of fill(). */
export function transportMap({ livePort, deadPort }: Pick<Backlog, "livePort" | "deadPort">): string {
  return `/@dead\\.example$/ smtp:[127.0.0.1]:${deadPort}\n/@d([0-9]+)x([0-9]+)\\.example$/ smtp:[127.1.$1.$2]:${livePort}\n`;
}

export function fill(backlog: Backlog): void {
  const each = Math.ceil(backlog.messages / backlog.shards);
  for (let number = 0; number < backlog.shards; number++) {
    const { directory } = backlog;
    const { shard } = openShard({ directory, shard: number, create: true, life: "new" });
    fillShard(shard, backlog, each);
    shard.checkpoint();
    shard.close();
  }
  giveAway(backlog.directory);
}

function fillShard(shard: Shard, backlog: Backlog, messages: number): void {
  const nowMs = Date.now();
  // An hour old, so that a new start goes on above.
  const ids = new QueueIdAllocator({
    nowMicros: () => (nowMs - 3_600_000) * 1000,
    shard: shard.number,
    long: false,
    floorMicros: shard.floorMicros,
  });
  const body = new Uint8Array(backlog.bodyBytes).fill(65);
  for (let n = 0; n < messages; ) {
    shard.begin();
    for (let i = 0; i < IN_ONE_COMMIT && n < messages; i++, n++) {
      append(shard, ids, { n, body, arrivalMs: nowMs - 3_600_000, dueMs: dueOf(backlog, n / messages), backlog });
    }
    shard.commit();
    if (shard.walBytes > CHECKPOINT_AT_BYTES) shard.checkpoint();
  }
}

interface One {
  readonly n: number;
  readonly body: Uint8Array;
  readonly arrivalMs: number;
  readonly dueMs: number;
  readonly backlog: Backlog;
}

function append(shard: Shard, ids: QueueIdAllocator, { n, body, arrivalMs, dueMs, backlog }: One): void {
  const queueId = ids.next();
  const key = keyOf(queueId);
  if (key === undefined) throw new Error(`Bad queue id ${queueId}`);
  const [x, y] = [((n >> 1) % DOMAINS) >> 8, ((n >> 1) % DOMAINS) & 255];
  const dead = n % 2 === 0;
  const domain = dead ? "dead.example" : `d${x}x${y}.example`;
  const to = asAddress(`user${n}@${domain}`);
  const lane = dead ? `smtp:[127.0.0.1]:${backlog.deadPort}` : `smtp:[127.1.${x}.${y}]:${backlog.livePort}`;
  const sender = asAddress("sender@example.org");
  const origin = {
    clientName: "client.example.org",
    clientAddress: "192.0.2.1",
    helo: "client",
    protocol: "ESMTP",
    service: "submission",
  };
  const envelope: Envelope = { queueId, sender, arrivalMs, smtputf8: false, body: "8BITMIME", origin };
  const recipients = [{ address: to, original: to, lane, dueMs }];
  const row = {
    key,
    queueId,
    envelope: JSON.stringify(envelope),
    sizeBytes: 600 + body.length,
    header: HEADER,
    body,
    file: undefined,
    hold: false,
    recipients,
  };
  shard.delivery.append(row, true);
  shard.noteKey(key);
  const reason = `connect to ${lane.slice(5)}: Connection refused`;
  const deferred = [{ id: 1, dueMs, reason, lastTry: { dsn: "4.4.1" } }];
  shard.delivery.settle({ key, done: [], deferred, warned: [], append: [], forwards: [] });
}

/** In an order that has nothing to do with that of arrival. */
function dueOf({ dueFromMs, dueToMs }: Backlog, share: number): number {
  return dueFromMs + (dueToMs - dueFromMs) * ((share * 7919) % 1);
}

/** What root has made belongs to whom the directory belongs to. */
function giveAway(directory: string): void {
  const { uid, gid } = statSync(directory);
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" }))
    chownSync(join(directory, name), uid, gid);
}
