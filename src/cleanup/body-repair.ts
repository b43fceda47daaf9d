/** cleanup/body-repair.ts: gives a message another body (body-rewriting.ts) in the place of the stored one. Never whole in memory: it is
 *  read from the store and written once more. */
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueStore } from "../queue/store.ts";
import type { BodyReading } from "./body-reading.ts";
import { type BodyChanges, rewrittenBody } from "./body-rewriting.ts";
import type { HeaderField } from "./header-block.ts";
import type { BodyInHand } from "./milter-body.ts";
import type { MimeLimits } from "./mime-structure.ts";

export interface BodyRepairDeps {
  readonly store: Pick<QueueStore, "beginBody" | "readBody">;
  readonly readAnew: () => BodyReading;
}

export interface BodyRepair {
  readonly queueId: QueueId;
  readonly limits: MimeLimits;
  readonly changes: BodyChanges;
}

/** `fields`: the message's own; `body` follows the new one. Rejects QueueError. */
export async function rewriteBody(
  fields: readonly HeaderField[],
  body: BodyInHand,
  { queueId, limits, changes, store, readAnew }: BodyRepair & BodyRepairDeps,
): Promise<void> {
  const writer = store.beginBody(queueId);
  const reading = readAnew();
  try {
    for await (const bytes of rewrittenBody(store.readBody(body.stored), fields, { changes, limits })) {
      reading.update(bytes);
      const wait = writer.write(bytes);
      if (wait) await wait;
    }
  } catch (error) {
    await writer.abort();
    throw error;
  }
  const { writer: before } = body;
  Object.assign(body, { writer, reading });
  await before.abort();
  body.stored = await writer.finish();
}
