/** smtp/chunk-writer.ts: sends the content of a message by BDAT (RFC 3030 §2), octet by octet as it is: in one chunk where its size is
 *  known, else in as many as it comes in, each answered before the next. Time limits as for DATA. */
import type { MessageContent } from "../mail/delivery.ts";
import type { ClientConnection } from "../net/client-connection.ts";
import { ContentCheckError } from "./content-checks.ts";
import type { ContentOptions } from "./content-writer.ts";
import { type PeerReply, replyClass } from "./reply.ts";
import { TimeBudget } from "./time-budget.ts";

export interface ChunkOptions extends ContentOptions {
  /** content.sizeBytes is what its stream gives. */
  readonly exact: boolean;
  /** Reads the reply to a chunk that is not the last. */
  readonly reply: () => Promise<PeerReply>;
}

/** All but the reply to the last chunk; or the reply that refused a chunk. Rejects ConnectionError, and ContentCheckError where
 *  the content is not what it was said to be. */
export async function writeChunks(
  connection: ClientConnection,
  content: MessageContent,
  { settings, now, ending, exact, reply }: ChunkOptions,
): Promise<PeerReply | undefined> {
  const budget = new TimeBudget(settings, now);
  const send = async (bytes: Uint8Array | string) => {
    const slow = connection.write(bytes, budget.leftMs);
    if (slow) await budget.spend(slow);
    budget.earn(bytes.length);
  };
  let left = content.sizeBytes;
  if (exact && left === 0) ending();
  if (exact) await send(`BDAT ${left} LAST\r\n`);
  for await (const chunk of content.chunks()) {
    left -= chunk.length;
    if (exact && left < 0) break;
    if (chunk.length === 0) continue;
    if (!exact) await send(`BDAT ${chunk.length}\r\n`);
    else if (left === 0) ending();
    await send(chunk);
    const answer = exact ? undefined : await reply();
    if (answer && replyClass(answer) !== 2) return answer;
  }
  if (!exact) {
    ending();
    await send("BDAT 0 LAST\r\n");
  } else if (left !== 0) throw new ContentCheckError("The content is not as long as the queue says");
  return undefined;
}
