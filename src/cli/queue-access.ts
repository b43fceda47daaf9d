/** cli/queue-access.ts: the way to the queue for every command: the master when it runs, else the shards in place, opened
 *  once. Listings come page by page, so memory does not grow with the queue. */
import type { Envelope } from "../mail/envelope.ts";
import type { QueueArgs } from "../master/protocol.ts";
import { runQueueOperation } from "../master/queue-operations.ts";
import { type OfflineQueue, openOffline } from "../queue/offline.ts";
import type { QueueListing } from "../queue/store.ts";
import { askAt, controlPath, directoriesOf } from "./server-commands.ts";
import type { Terminal } from "./terminal.ts";

/** Messages of one page: with 1,000 recipients each it still fits the control socket. */
const PAGE = 200;

export interface QueueDoor {
  ask(args: QueueArgs): Promise<unknown>;
}

export interface ReadMessage {
  readonly envelope: Envelope;
  readonly listing: QueueListing;
  /** latin1 text of the bytes. */
  readonly content: string;
}

/** Throws QueueError, and what the server answered. */
export async function withQueue<T>(terminal: Terminal, use: (queue: QueueDoor) => Promise<T>): Promise<T> {
  const path = await controlPath(terminal);
  let offline: OfflineQueue | undefined;
  const ask = async (args: QueueArgs): Promise<unknown> => {
    if (!offline) {
      const answer = await askAt(path, "queue", args as never);
      if (answer !== undefined) return answer ?? undefined;
      offline = openOffline((await directoriesOf(terminal)).queue);
      for (const note of offline.notes) terminal.stderr(`postern: queue: ${note}\n`);
    }
    return runQueueOperation(offline, args);
  };
  try {
    return await use({ ask });
  } finally {
    offline?.close();
  }
}

/** All messages in queue id order. */
export async function* listQueue(queue: QueueDoor): AsyncGenerator<QueueListing> {
  let after: string | undefined;
  for (;;) {
    const page = (await queue.ask({ op: "list", ids: "ALL", after, limit: PAGE })) as QueueListing[];
    yield* page;
    after = page.at(-1)?.queueId;
    if (page.length < PAGE) return;
  }
}

/** Undefined if there is none. */
export async function readMessage(queue: QueueDoor, id: string): Promise<ReadMessage | undefined> {
  return (await queue.ask({ op: "read", ids: [id] })) as ReadMessage | undefined;
}
