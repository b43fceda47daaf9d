/** cleanup/body-repair.ts: gives a message a body without overlong lines (long-lines.ts), in the place of the stored one. Never
 *  whole in memory: it is read from the store twice, and written once. */
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueStore } from "../queue/store.ts";
import type { BodyReading } from "./body-reading.ts";
import type { BodyFacts } from "./duties/duty.ts";
import { withEncoding } from "./duties/mime.ts";
import { isSecure } from "./duties/signed.ts";
import type { HeaderField } from "./header-block.ts";
import { planLongLines, shortenedLines } from "./long-lines.ts";
import type { BodyInHand } from "./milter-body.ts";
import type { MimeLimits } from "./mime-structure.ts";

export interface BodyRepairDeps {
  readonly store: Pick<QueueStore, "beginBody" | "readBody">;
  readonly queueId: QueueId;
  readonly limits: MimeLimits;
  readonly facts: BodyFacts;
  /** Parts that somebody has signed are changed, too. */
  readonly force: boolean;
  readonly readAnew: () => BodyReading;
}

/** The header that fits the new body; undefined: nothing can be done. `body` follows the new one. Rejects QueueError. */
export async function shortenLines(
  fields: readonly HeaderField[],
  body: BodyInHand,
  { store, queueId, limits, facts, force, readAnew }: BodyRepairDeps,
): Promise<readonly HeaderField[] | undefined> {
  const forbidden = (field: string) => !force && isSecure(field);
  const plan = await planLongLines(store.readBody(body.stored), fields, { limits, forbidden });
  if (!plan || plan.parts.size === 0) return undefined;
  const writer = store.beginBody(queueId);
  const reading = readAnew();
  try {
    for await (const bytes of shortenedLines(store.readBody(body.stored), fields, { plan, limits })) {
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
  return plan.encodesWhole ? withEncoding(fields, "quoted-printable", facts) : fields;
}
