/** queue/testdata/engine-fixture.ts: an engine over one shard whose disk the tests break. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { QueueId } from "../../mail/queue-id.ts";
import type { MessageRow } from "../delivery-rows.ts";
import { Engine, type Reply, type Request } from "../engine.ts";
import type { Note } from "../recovery.ts";
import { keyOf } from "../schema.ts";
import { openShard, type Shard } from "../shard.ts";
import { bodyFor, idsOf, messageFor, temporaryDirectory } from "./fixture.ts";

export const ids = idsOf(0);

export function row(queueId: QueueId, sizeBytes = 100): MessageRow {
  const { envelope, header, recipients } = messageFor(queueId);
  return {
    key: keyOf(queueId) ?? 0n,
    queueId,
    envelope: JSON.stringify(envelope),
    sizeBytes,
    header,
    body: bodyFor(queueId, sizeBytes),
    file: undefined,
    hold: false,
    recipients,
  };
}

export function appendOf(queueId: QueueId, sizeBytes?: number): Request {
  return { id: 1, shard: 0, op: { kind: "append", message: row(queueId, sizeBytes), claim: true } };
}

export interface Opened {
  readonly engine: Engine;
  readonly notes: Note[];
  readonly directory: string;
  /** The shard that was opened last; tests replace its methods to break it. */
  shard: Shard;
  /** Told of each shard that is opened again. */
  onReopen: (shard: Shard) => void;
}

export function engineIn(t: TestContext, options: { readonly maxPages?: number } = {}): Opened {
  const notes: Note[] = [];
  const directory = temporaryDirectory(t);
  const shards: Shard[] = [];
  const engine = new Engine({
    note: (note) => notes.push(note),
    drained: () => {},
    open: (asked) => {
      const result = openShard(asked);
      if (shards.length > 0) opened.onReopen(result.shard);
      shards.push(result.shard);
      return result;
    },
  });
  t.after(() => engine.close());
  engine.open({ directory, shard: 0, create: true, life: "new", maxPages: options.maxPages }, { adopted: false });
  const [shard] = shards;
  assert.ok(shard);
  const opened: Opened = { engine, notes, directory, shard, onReopen: () => {} };
  return opened;
}

export function listed(engine: Engine): string[] {
  const [reply] = engine.run([{ id: 9, shard: 0, op: { kind: "list", after: -1n, limit: 1000 } }]);
  assert.ok(reply && "answer" in reply);
  return (reply.answer as readonly { queueId: string }[]).map((entry) => entry.queueId);
}

export function outcomes(replies: readonly Reply[]): string[] {
  return replies.map((reply) => ("answer" in reply ? "ok" : reply.full ? "full" : "error"));
}

export function ioError(): Error {
  return Object.assign(new Error("disk I/O error"), { errcode: 1290 });
}

/** COMMIT reported an error, but the frames reached the disk. */
export function failAfterCommit(shard: Shard): void {
  const commit = shard.commit.bind(shard);
  shard.commit = () => {
    commit();
    throw ioError();
  };
}


/** COMMIT reported an error, and nothing reached the disk. */
export function failBeforeCommit(shard: Shard): void {
  shard.commit = () => {
    throw ioError();
  };
}
