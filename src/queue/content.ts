/** queue/content.ts: stored content as a byte stream, header block first. What is at hand is given by reference; the rest is
 *  read when somebody iterates, 64 KiB at a time, so a claimed message costs no memory. */
import { open } from "node:fs/promises";
import { BufferMeter } from "../base/garbage.ts";
import type { MessageContent } from "../mail/delivery.ts";
import { asQueueError } from "./faults.ts";
import { QueueError } from "./store.ts";

const CHUNK_BYTES = 65_536;

/** Where the bytes are: a body in memory or in a file (absolute path). */
export type ContentParts =
  | { readonly header: Uint8Array; readonly body: Uint8Array }
  | { readonly header: Uint8Array; readonly path: string };

/** Content whose bytes are already in memory. */
export function contentAtHand(header: Uint8Array, body: Uint8Array): MessageContent {
  return { sizeBytes: header.length + body.length, chunks: () => [header, body] };
}

/** Content that `fetch` finds at each iteration. chunks() throws QueueError if it is gone, short, or unreadable. */
export function contentBehind(sizeBytes: number, fetch: () => Promise<ContentParts>): MessageContent {
  return {
    sizeBytes,
    async *chunks() {
      const parts = await fetch();
      yield parts.header;
      if ("body" in parts) yield parts.body;
      else yield* readChunks(parts.path, sizeBytes - parts.header.length);
    },
  };
}

export async function* readChunks(path: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
  const meter = new BufferMeter();
  try {
    await using handle = await open(path, "r");
    for (let left = sizeBytes; left > 0; ) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, left));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length);
      if (bytesRead === 0) throw new QueueError(`Content file "${path}" is ${left} bytes short`, {});
      left -= bytesRead;
      yield chunk.subarray(0, bytesRead);
      meter.count(chunk.length);
    }
  } catch (error) {
    throw asQueueError(`Cannot read content "${path}"`, error);
  }
}
