/** qmgr/testdata/memory-store.ts: a queue in memory, the disk edge of the scheduler's tests. Checks what a scheduler must
 *  never do: settle or give back what it has not claimed, settle twice. */
import type { MessageContent } from "../../mail/delivery.ts";
import type { QueueId } from "../../mail/queue-id.ts";
import type {
  ClaimedMessage,
  LaneDue,
  NewMessage,
  QueuedRecipient,
  QueueStore,
  Retiming,
  Settlement,
} from "../../queue/store.ts";

interface Row {
  recipient: QueuedRecipient;
  claimed: boolean;
}

interface Stored {
  readonly message: NewMessage;
  readonly rows: Map<number, Row>;
}

export class MemoryStore implements QueueStore {
  readonly floorMicros = 0;
  readonly messages = new Map<QueueId, Stored>();
  /** Times each recipient was settled as done, by id. */
  readonly done = new Map<number, number>();
  readonly settlements: Settlement[] = [];
  readonly mistakes: string[] = [];
  /** Throws this many times before settle() works. */
  failures = 0;
  #nextId = 1;

  readBody(): Iterable<Uint8Array> {
    throw new Error("The scheduler reads no body that is not appended");
  }

  async append(message: NewMessage, options: { readonly claim: boolean }): Promise<ClaimedMessage | undefined> {
    await Promise.resolve();
    return this.#add(message, options.claim);
  }

  #add(message: NewMessage, claim: boolean): ClaimedMessage | undefined {
    const stored: Stored = { message, rows: new Map() };
    for (const recipient of message.recipients) {
      const id = this.#nextId++;
      stored.rows.set(id, { recipient: { ...recipient, id, reason: "", warned: false }, claimed: claim });
    }
    this.messages.set(message.envelope.queueId, stored);
    return claim ? claimOf(stored, [...stored.rows.values()]) : undefined;
  }

  async claimDue(lane: string, nowMs: number, limit: number): Promise<readonly ClaimedMessage[]> {
    await Promise.resolve();
    const claims: ClaimedMessage[] = [];
    let left = limit;
    for (const stored of this.messages.values()) {
      const due = [...stored.rows.values()].filter(
        (row) => !row.claimed && row.recipient.lane === lane && row.recipient.dueMs <= nowMs,
      );
      const rows = due.slice(0, left);
      if (rows.length === 0) continue;
      left -= rows.length;
      for (const row of rows) row.claimed = true;
      claims.push(claimOf(stored, rows));
    }
    return claims;
  }

  async dueLanes(limit: number): Promise<readonly LaneDue[]> {
    await Promise.resolve();
    const lanes = new Map<string, LaneDue>();
    for (const { rows } of this.messages.values()) {
      for (const { recipient, claimed } of rows.values()) {
        if (claimed) continue;
        const before = lanes.get(recipient.lane);
        lanes.set(recipient.lane, {
          lane: recipient.lane,
          earliestDueMs: Math.min(before?.earliestDueMs ?? Number.POSITIVE_INFINITY, recipient.dueMs),
        });
      }
    }
    return [...lanes.values()].sort((a, b) => a.earliestDueMs - b.earliestDueMs).slice(0, limit);
  }

  async unclaim(queueId: QueueId, recipientIds: readonly number[]): Promise<void> {
    await Promise.resolve();
    for (const id of recipientIds) {
      const row = this.messages.get(queueId)?.rows.get(id);
      if (!row?.claimed) this.mistakes.push(`unclaim of ${id}, which is not claimed`);
      else row.claimed = false;
    }
  }

  async settle(settlement: Settlement): Promise<{ removed: boolean; appended: readonly ClaimedMessage[] }> {
    await Promise.resolve();
    if (this.failures > 0) {
      this.failures--;
      throw new Error("disk is sulking");
    }
    this.settlements.push(settlement);
    const stored = this.messages.get(settlement.queueId);
    for (const id of settlement.done) {
      if (!stored?.rows.get(id)?.claimed) this.mistakes.push(`settle of ${id}, which is not claimed`);
      stored?.rows.delete(id);
      this.done.set(id, (this.done.get(id) ?? 0) + 1);
    }
    for (const { id, dueMs, reason, lastTry } of settlement.deferred) {
      const row = stored?.rows.get(id);
      if (!row?.claimed) this.mistakes.push(`deferral of ${id}, which is not claimed`);
      else Object.assign(row, { claimed: false, recipient: { ...row.recipient, dueMs, reason, lastTry } });
    }
    for (const id of settlement.warned ?? []) {
      const row = stored?.rows.get(id);
      if (row) row.recipient = { ...row.recipient, warned: true };
    }
    const removed = stored?.rows.size === 0;
    if (removed) this.messages.delete(settlement.queueId);
    const copies = (settlement.forwards ?? []).map(({ envelope, head, recipients }): NewMessage => {
      if (!stored) throw new Error("A copy of a message that is not there");
      const header = Buffer.concat([head, stored.message.header]);
      return { envelope, header, body: stored.message.body, recipients, hold: false };
    });
    const added = [...settlement.append, ...copies];
    return { removed, appended: added.flatMap((message) => this.#add(message, true) ?? []) };
  }

  async delayed(queueId: QueueId, limit: number): Promise<readonly QueuedRecipient[]> {
    const rows = [...(this.messages.get(queueId)?.rows.values() ?? [])];
    const waiting = rows.filter(({ claimed, recipient }) => !claimed && recipient.reason !== "" && !recipient.warned);
    return waiting.slice(0, limit).map(({ recipient }) => recipient);
  }

  /** Recipients in the queue, claimed or not. */
  get waiting(): readonly QueuedRecipient[] {
    return [...this.messages.values()].flatMap(({ rows }) => Array.from(rows.values(), (row) => row.recipient));
  }

  get claimed(): number {
    return [...this.messages.values()].flatMap(({ rows }) => [...rows.values()]).filter((row) => row.claimed).length;
  }

  async retime(how: Retiming): Promise<number> {
    await Promise.resolve();
    let moved = 0;
    for (const { rows } of this.messages.values()) {
      for (const row of rows.values()) {
        const { dueMs } = row.recipient;
        if (row.claimed || dueMs <= how.aboveMs || (how.kind === "shift" && dueMs > how.notAboveMs)) continue;
        const moves = how.kind === "shift" ? dueMs + how.byMs : how.nowMs + ((dueMs - how.nowMs) % how.spreadMs);
        row.recipient = { ...row.recipient, dueMs: moves };
        moved++;
      }
    }
    return moved;
  }

  freeBytes(): number {
    return 1e12;
  }

  beginBody(): never {
    throw new Error("The scheduler writes no bodies");
  }

  async adopt(): Promise<void> {}
  async close(): Promise<void> {}
  async list(): Promise<never[]> {
    return [];
  }
  async shape(): Promise<never[]> {
    return [];
  }
  async hold(): Promise<never[]> {
    return [];
  }
  async release(): Promise<never[]> {
    return [];
  }
  async delete(): Promise<never[]> {
    return [];
  }
  async flush(): Promise<never[]> {
    return [];
  }
  async flushReason(): Promise<number> {
    return 0;
  }
  async requeue(): Promise<never[]> {
    return [];
  }
  async advance(): Promise<never[]> {
    return [];
  }
  async heldFor(): Promise<number> {
    return 0;
  }
  async read(): Promise<undefined> {
    return undefined;
  }
}

function claimOf({ message, rows: all }: Stored, rows: readonly Row[]): ClaimedMessage {
  const { body } = message;
  const bytes = body.kind === "inline" ? [message.header, body.bytes] : [message.header];
  const sizeBytes = bytes.reduce((n, b) => n + b.length, 0);
  const content: MessageContent = { sizeBytes, chunks: () => bytes };
  const recipients = rows.map((row) => row.recipient);
  return { envelope: message.envelope, sizeBytes, recipients, remaining: all.size, content };
}
