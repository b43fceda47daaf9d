/** pickup/pickup.ts: takes mail from the maildrop directory into the queue (pickup(8)). In steps, each durable before the next:
 *
 *    1  a batch of files is moved to the directory of claimed ones, each under its queue id
 *    2  each message is committed under that id, and claimed, so that nobody delivers it yet
 *    3  the files are removed
 *    4  the messages go to the scheduler
 *
 *  A crash in between leaves a file with a queue id. If that id is in the queue, step 2 was done, and the file is removed
 *  before the scheduler starts; else step 2 is done again, under the same id. So nothing is lost and nothing doubled. */
import type { Clock, Timer } from "../base/clock.ts";
import type { CleanupDeps } from "../cleanup/deps.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { parseQueueId, type QueueId } from "../mail/queue-id.ts";
import type { ClaimedMessage } from "../queue/store.ts";
import { type ClaimedFile, type DropDirectories, Maildrop, type OpenedFile } from "./maildrop.ts";
import { receive } from "./receive.ts";
import type { PickupService } from "./service.ts";
import type { LocalUser } from "./user-list.ts";

export interface PickupDeps {
  readonly directories: DropDirectories;
  /** Of the configuration at the moment. */
  readonly service: () => PickupService;
  readonly queue: Pick<CleanupDeps, "store" | "laneOf" | "arrived">;
  readonly isQueued: (queueId: QueueId) => Promise<boolean>;
  readonly nextQueueId: () => QueueId;
  readonly freeBytes: () => number;
  readonly userOf: (uid: number) => LocalUser;
  readonly clock: Clock;
}

/** Files that are worked on at the same time; each may hold a head of 4 MiB in memory. */
const BATCH = 8;
/** Files that could not be taken and wait; above that, no new ones are claimed. */
const MAX_WAITING = 1000;
/** Names that are remembered so as to warn of each once. */
const MAX_WARNED = 1000;

export class Pickup {
  readonly #deps: PickupDeps;
  readonly #maildrop: Maildrop;
  readonly #warned = new Set<string>();
  /** In the queue, and not given to the scheduler, since its file is still there. undefined: there is nothing to give. */
  readonly #committed = new Map<QueueId, ClaimedMessage | undefined>();
  #running: Promise<void> | undefined;
  #again = false;
  #retryDue = true;
  #closed = false;
  #timer: Timer | undefined;

  constructor(deps: PickupDeps) {
    this.#deps = deps;
    this.#maildrop = new Maildrop(deps.directories);
  }

  /** Removes the files of messages that an earlier life has committed. Before the scheduler starts. */
  async recover(): Promise<void> {
    const queued: QueueId[] = [];
    for (const { queueId } of await this.#maildrop.claimed()) {
      if (parseQueueId(queueId) && (await this.#deps.isQueued(queueId))) queued.push(queueId);
    }
    if (queued.length > 0) await this.#maildrop.remove(queued);
  }

  /** Looks now, and then as often as `intervalMs` says; 0: only when told. */
  start(intervalMs: () => number): void {
    const look = () => {
      this.#retryDue = true;
      void this.wake().then(() => {
        const wait = intervalMs();
        if (!this.#closed && wait > 0) this.#timer = this.#deps.clock.after(wait, look, { ref: false });
      });
    };
    look();
  }

  /** There may be something new. Resolves when all that was there has been looked at; never rejects. */
  wake(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#scan()
      .catch((error: unknown) => this.#deps.service().log.error(printableUtf8(`maildrop: ${(error as Error).message}`)))
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /** Finishes the batch at hand. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #scan(): Promise<void> {
    do {
      this.#again = false;
      const waiting = this.#retryDue ? await this.#retry() : (await this.#maildrop.claimed()).length;
      if (waiting < MAX_WAITING) await this.#claimNew();
    } while (this.#again && !this.#closed);
  }

  /** What was claimed before; resolves to how many of them must wait on. */
  async #retry(): Promise<number> {
    this.#retryDue = false;
    const old = await this.#maildrop.claimed();
    for (let at = 0; at < old.length && !this.#closed; at += BATCH) await this.#batch(old.slice(at, at + BATCH));
    return (await this.#maildrop.claimed()).length;
  }

  async #claimNew(): Promise<void> {
    const warn = (name: string, text: string) => this.#warnOnce(`maildrop/${name}: ${text}`);
    let batch: ClaimedFile[] = [];
    for await (const { name, arrivalMs } of this.#maildrop.ready(this.#deps.clock.now(), warn)) {
      if (this.#closed || !this.#hasRoom()) break;
      const queueId = this.#deps.nextQueueId();
      if (await this.#maildrop.claim(name, queueId)) batch.push({ queueId, arrivalMs });
      if (batch.length < BATCH) continue;
      await this.#batch(batch);
      batch = [];
    }
    if (batch.length > 0) await this.#batch(batch);
  }

  #hasRoom(): boolean {
    const { params, log } = this.#deps.service();
    const minimum = params.get("queue_minfree");
    if (minimum === 0 || this.#deps.freeBytes() >= minimum) return true;
    log.warning("not enough free space in the queue for mail from the maildrop directory");
    return false;
  }

  async #batch(files: readonly ClaimedFile[]): Promise<void> {
    await this.#maildrop.sync();
    const fresh = files.filter(({ queueId }) => !this.#committed.has(queueId));
    await Promise.all(fresh.map((file) => this.#receive(file)));
    // Where this fails, none of them is delivered, and the next look comes back to them.
    await this.#maildrop.remove([...this.#committed.keys()]);
    const claimed = [...this.#committed.values()].filter((message) => message !== undefined);
    this.#committed.clear();
    for (const message of claimed) this.#deps.queue.arrived(message);
  }

  /** Never rejects. */
  async #receive({ queueId, arrivalMs }: ClaimedFile): Promise<void> {
    try {
      const opened = parseQueueId(queueId) ? await this.#maildrop.open(queueId) : "not a queue id";
      if (typeof opened === "string") await this.#putAside(queueId, opened);
      else await this.#receiveOpened(queueId, arrivalMs, opened);
    } catch (error) {
      this.#warnOnce(`${queueId}: ${(error as Error).message}: it stays in the maildrop`);
    }
  }

  async #receiveOpened(queueId: QueueId, arrivedMs: number, { handle, uid }: OpenedFile): Promise<void> {
    const { service, queue, userOf, clock } = this.#deps;
    const arrivalMs = Math.round(Math.min(arrivedMs, clock.now()));
    const arrived = (message: ClaimedMessage) => void this.#committed.set(queueId, message);
    try {
      const mail = { queueId, handle, user: userOf(uid), arrivalMs };
      const received = await receive(mail, { service: service(), queue, arrived });
      if (received.kind === "malformed") await this.#putAside(queueId, `uid=${uid}: malformed input`);
      else if (received.kind === "later") this.#warnOnce(`${queueId}: ${received.why}: it stays in the maildrop`);
      else if (!this.#committed.has(queueId)) this.#committed.set(queueId, undefined);
    } finally {
      await handle.close();
    }
  }

  async #putAside(queueId: QueueId, why: string): Promise<void> {
    this.#deps.service().log.warning(printableUtf8(`${queueId}: ${why}: moved to pickup/corrupt`));
    await this.#maildrop.putAside(queueId);
  }

  #warnOnce(text: string): void {
    if (this.#warned.has(text)) return;
    if (this.#warned.size >= MAX_WARNED) this.#warned.clear();
    this.#warned.add(text);
    this.#deps.service().log.warning(printableUtf8(text));
  }
}
