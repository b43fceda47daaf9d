/** queue/testdata/waiting-thread-child.ts: a store thread that answers nothing before a shard is opened, then everything. The
 *  answer to each request is how many came in its post. */
import { parentPort } from "node:worker_threads";
import { unpackRequests } from "../port-format.ts";
import type { FromThread, ToThread } from "../store-thread.ts";

const waiting: FromThread[] = [];
let isOpen = false;

parentPort?.on("message", (message: ToThread) => {
  if (message.kind === "close") return parentPort?.close();
  if (message.kind === "open") {
    isOpen = true;
    waiting.push({ kind: "opened", id: message.id, floorMicros: 0 });
  } else {
    const ids = unpackRequests(message.packed).map(({ id }) => id);
    const answers = ids.map(() => ids.length as never);
    waiting.push({ kind: "replies", posts: 1, packed: { ids, answers, refusals: [] } });
  }
  if (isOpen) for (const answer of waiting.splice(0)) parentPort?.postMessage(answer);
});
