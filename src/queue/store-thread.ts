/** queue/store-thread.ts: entry of the store thread: takes posts from its port, commits what has gathered, answers all of
 *  it in one post. No timer waits for more: a lone request is committed at once, and while a commit runs the next batch gathers.
 *  The group commit itself is engine.ts; the other end of the port is store-client.ts. */
import { type MessagePort, parentPort, receiveMessageOnPort } from "node:worker_threads";
import { systemClock } from "../base/clock.ts";
import { collectWhenQuiet } from "../base/garbage.ts";
import { Engine, type Request } from "./engine.ts";
import { asQueueError } from "./faults.ts";
import { type PackedReplies, type PackedRequests, packReplies, unpackRequests } from "./port-format.ts";
import type { Note } from "./recovery.ts";
import type { ShardOptions } from "./shard.ts";

/** Requests in one transaction; more wait at the port, where they cost nothing. */
const MAX_BATCH = 2000;

export type ToThread =
  | { readonly kind: "requests"; readonly packed: PackedRequests }
  | { readonly kind: "open"; readonly id: number; readonly options: ShardOptions; readonly adopted: boolean }
  | { readonly kind: "close" };

export type FromThread =
  /** `posts`: how many they answer. */
  | { readonly kind: "replies"; readonly posts: number; readonly packed: PackedReplies }
  | { readonly kind: "opened"; readonly id: number; readonly floorMicros: number }
  | { readonly kind: "refused"; readonly id: number; readonly error: string; readonly full: boolean }
  | { readonly kind: "note"; readonly note: Note }
  | { readonly kind: "drained"; readonly shard: number };

function serve(port: MessagePort): void {
  const post = (message: FromThread) => port.postMessage(message);
  const engine = new Engine({
    note: (note) => post({ kind: "note", note }),
    drained: (shard) => post({ kind: "drained", shard }),
  });
  const commit = (requests: readonly Request[], posts: number) => {
    if (posts === 0) return;
    engine.checkpoint("bound");
    post({ kind: "replies", posts, packed: packReplies(engine.run(requests)) });
  };
  const control = (message: Exclude<ToThread, { kind: "requests" }>) => {
    if (message.kind === "close") {
      engine.close();
      port.close();
      return;
    }
    try {
      post({ kind: "opened", id: message.id, floorMicros: engine.open(message.options, message) });
    } catch (error) {
      const told = asQueueError("Cannot open queue shard", error);
      post({ kind: "refused", id: message.id, error: told.message, full: told.full });
    }
  };
  port.on("message", (first: ToThread) => {
    let batch: Request[] = [];
    let posts = 0;
    for (let message: ToThread | undefined = first; message; message = receive(port)) {
      if (message.kind === "requests") {
        posts++;
        for (const request of unpackRequests(message.packed)) batch.push(request);
        if (batch.length < MAX_BATCH) continue;
      }
      commit(batch, posts);
      [batch, posts] = [[], 0];
      if (message.kind !== "requests") control(message);
    }
    commit(batch, posts);
    setImmediate(() => engine.checkpoint("idle"));
  });
  collectWhenQuiet(systemClock);
}

function receive(port: MessagePort): ToThread | undefined {
  return receiveMessageOnPort(port)?.message as ToThread | undefined;
}

if (parentPort) serve(parentPort);
