/** queue/testdata/fixture.ts: messages and stores for the tests of this room and for their child processes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { Log, type LogRecord } from "../../log/log.ts";
import { asAddress } from "../../mail/address.ts";
import type { MessageContent } from "../../mail/delivery.ts";
import { QueueIdAllocator, type QueueId } from "../../mail/queue-id.ts";
import { openStore, type StoreOptions } from "../sqlite-store.ts";
import type { NewMessage, QueueStore, StoredBody } from "../store.ts";

export const LANE = "smtp:example.net";

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "queue-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function idsOf(shard: number, floorMicros = 0, long = false): QueueIdAllocator {
  return new QueueIdAllocator({ nowMicros: systemClock.nowMicros, shard, long, floorMicros });
}

/** The body that belongs to an id, so that whoever reads it back can tell whether it is whole. */
export function bodyFor(queueId: QueueId, sizeBytes: number): Uint8Array {
  const unit = Buffer.from(`${queueId}\r\n`);
  return new Uint8Array(Buffer.alloc(sizeBytes, unit));
}

export interface MessageShape {
  readonly sizeBytes?: number;
  readonly body?: StoredBody;
  readonly recipients?: readonly string[];
  readonly dueMs?: number;
  readonly hold?: boolean;
  readonly lane?: string;
  /** Held for later at the wish of this login (alice), until dueMs. */
  readonly login?: string;
}

export const HEADER = Buffer.from("Subject: test\r\n\r\n");

export function messageFor(queueId: QueueId, shape: MessageShape = {}): NewMessage {
  return {
    envelope: {
      queueId,
      sender: asAddress("alice@example.org"),
      arrivalMs: 1_790_000_000_000,
      smtputf8: false,
      body: "8BITMIME",
      origin: {
        clientName: "client.example.org",
        clientAddress: "192.0.2.1",
        helo: undefined,
        protocol: "ESMTP",
        service: "submission",
        saslUsername: shape.login,
      },
      ...(shape.login !== undefined && {
        futureRelease: { untilMs: shape.dueMs ?? 1000, request: "until;2026-12-24T18:00:00Z" },
      }),
    },
    header: HEADER,
    body: shape.body ?? { kind: "inline", bytes: bodyFor(queueId, shape.sizeBytes ?? 100) },
    recipients: (shape.recipients ?? ["bob@example.net"]).map((address) => ({
      address: asAddress(address),
      original: asAddress(`orig-${address}`),
      lane: shape.lane ?? LANE,
      dueMs: shape.dueMs ?? 1000,
    })),
    hold: shape.hold ?? false,
  };
}

/** Queue id → the queue it is in. */
export async function queueOf(store: QueueStore): Promise<Record<string, string>> {
  const listed = await store.list({ limit: 100 });
  return Object.fromEntries(listed.map((entry) => [entry.queueId, entry.queue]));
}

export interface OpenedStore {
  readonly store: QueueStore;
  readonly ids: QueueIdAllocator;
  readonly logged: LogRecord[];
}

/** A store and what it logs; the caller closes it. */
export async function openedStore(directory: string, options: Partial<StoreOptions> = {}): Promise<OpenedStore> {
  const logged: LogRecord[] = [];
  const log = new Log({ sink: (record) => logged.push(record), now: systemClock.now, tag: "queue", id: 1 });
  const shard = options.shard ?? 0;
  const store = await openStore({ directory, shard, inlineLimit: 65_536, log, clock: systemClock, ...options });
  return { store, ids: idsOf(shard, store.floorMicros), logged };
}

/** A store that is closed when the test ends (closing twice is harmless). */
export async function storeIn(t: TestContext, directory: string, options: Partial<StoreOptions> = {}): Promise<OpenedStore> {
  const opened = await openedStore(directory, options);
  t.after(() => opened.store.close());
  return opened;
}

export async function bytesOf(content: MessageContent): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.chunks()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Writes `bytes` in pieces of `pieceBytes` through a body writer of the store. */
export async function storedBody(
  store: QueueStore,
  queueId: QueueId,
  options: { readonly bytes: Uint8Array; readonly pieceBytes: number },
): Promise<StoredBody> {
  const writer = store.beginBody(queueId);
  for (let at = 0; at < options.bytes.length; at += options.pieceBytes) {
    await writer.write(options.bytes.slice(at, at + options.pieceBytes));
  }
  return writer.finish();
}
