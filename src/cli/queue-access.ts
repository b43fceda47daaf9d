/** cli/queue-access.ts: the way to the queue for every command: the master when it runs, else the shards in place, opened
 *  once. Listings come page by page, so memory does not grow with the queue. */
import type { Envelope } from "../mail/envelope.ts";
import type { QueueArgs } from "../master/protocol.ts";
import { runQueueOperation } from "../master/queue-operations.ts";
import { DeniedError } from "../net/control-socket.ts";
import { type OfflineQueue, openOffline } from "../queue/offline.ts";
import type { QueueListing } from "../queue/store.ts";
import { asUser, clientRequest, notRunning } from "./client-access.ts";
import { askAt, controlPath, directoriesOf } from "./server-commands.ts";
import type { Terminal } from "./terminal.ts";

/** Messages of one page: with 1,000 recipients each it still fits the control socket. */
const PAGE = 200;
const LARGEST_PAGE = 3200;
/** Recipients of a message, on average, up to which pages grow. */
const FEW_RECIPIENTS = 5;

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
  const askUser = asUser(terminal);
  let offline: OfflineQueue | undefined;
  const ask = async (args: QueueArgs): Promise<unknown> => {
    if (!offline) {
      const answer = await askServer(path, args, askUser);
      if (answer !== undefined) return answer ?? undefined;
      offline = openShards((await directoriesOf(terminal)).queue, args.op);
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

/** Who may not operate the server asks as a user, for what every user may ask. undefined: it does not run. */
async function askServer(path: string, args: QueueArgs, askUser: ReturnType<typeof asUser>): Promise<unknown> {
  try {
    return await askAt(path, "queue", args as never);
  } catch (error) {
    const request = error instanceof DeniedError ? clientRequest(args) : undefined;
    if (request === undefined) throw error;
    return await askUser(request);
  }
}

/** Who may not read the shards needs a server. */
function openShards(directory: string, op: QueueArgs["op"]): OfflineQueue {
  try {
    return openOffline(directory);
  } catch (error) {
    const { code, cause } = error as NodeJS.ErrnoException;
    const denied = code === "EACCES" || (cause as NodeJS.ErrnoException | undefined)?.code === "EACCES";
    throw denied ? notRunning(op) : error;
  }
}

/** All messages in queue id order. Pages grow while messages have few recipients: a long queue takes fewer requests. */
export async function* listQueue(queue: QueueDoor): AsyncGenerator<QueueListing> {
  let after: string | undefined;
  for (let limit = PAGE; ; ) {
    const page = await onePage(queue, after, limit);
    yield* page.entries;
    if (page.entries.length < page.limit) return;
    after = page.entries.at(-1)?.queueId;
    const recipients = page.entries.reduce((sum, entry) => sum + entry.recipients.length, 0);
    limit = recipients <= FEW_RECIPIENTS * page.limit ? Math.min(page.limit * 2, LARGEST_PAGE) : PAGE;
  }
}

/** A page that turns out too large for the control socket is asked for again, as a small one. */
async function onePage(queue: QueueDoor, after: string | undefined, limit: number) {
  const ask = async (most: number) => {
    return {
      limit: most,
      entries: (await queue.ask({ op: "list", ids: "ALL", after, limit: most })) as QueueListing[],
    };
  };
  return limit > PAGE ? ask(limit).catch(() => ask(PAGE)) : ask(limit);
}

/** Undefined if there is none. */
export async function readMessage(queue: QueueDoor, id: string): Promise<ReadMessage | undefined> {
  return (await queue.ask({ op: "read", ids: [id] })) as ReadMessage | undefined;
}
