/** bounce/original.ts: how much of the original message a report returns: all of it if it is small, else its headers. Reads
 *  no more than it needs, so memory is bounded by bounce_size_limit and the header limit. */
import type { MessageContent } from "../mail/delivery.ts";

/** Headers longer than this are cut at a line end. */
const MAX_HEADER_BYTES = 102_400;

export interface ReturnedOriginal {
  readonly kind: "message" | "headers";
  /** CRLF lines; for "headers" without the empty line. */
  readonly bytes: Buffer;
  readonly has8bit: boolean;
}

/** The message if it has at most `limitBytes` and `wanted` is "message", else its header block. */
export async function readOriginal(
  content: MessageContent,
  { wanted, limitBytes }: { readonly wanted: "message" | "headers"; readonly limitBytes: number },
): Promise<ReturnedOriginal> {
  const whole = wanted === "message" && content.sizeBytes <= limitBytes;
  const read = await readUpTo(content, whole ? content.sizeBytes : MAX_HEADER_BYTES, { stopAtHeaderEnd: !whole });
  const bytes = whole ? read : headerOf(read);
  return { kind: whole ? "message" : "headers", bytes, has8bit: bytes.some((byte) => byte > 0x7f) };
}

async function readUpTo(
  content: MessageContent,
  limitBytes: number,
  { stopAtHeaderEnd }: { readonly stopAtHeaderEnd: boolean },
): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  let tail = Buffer.alloc(0);
  for await (const chunk of content.chunks()) {
    const part = Buffer.from(chunk.subarray(0, limitBytes - size)); // a copy: stores may reuse their chunks
    parts.push(part);
    size += part.length;
    if (size >= limitBytes) break;
    if (!stopAtHeaderEnd) continue;
    // The empty line may lie across two chunks.
    const seen = Buffer.concat([tail, part]);
    if (seen.includes("\r\n\r\n")) break;
    tail = Buffer.from(seen.subarray(-3));
  }
  return Buffer.concat(parts, size);
}

/** Up to the empty line, which is left out; without one, up to the last complete line. */
function headerOf(bytes: Buffer): Buffer {
  if (bytes.subarray(0, 2).equals(Buffer.from("\r\n"))) return Buffer.alloc(0);
  const end = bytes.indexOf("\r\n\r\n");
  return bytes.subarray(
    0,
    (end >= 0 ? end : Math.max(bytes.lastIndexOf("\r\n"), 0)) + (bytes.includes("\r\n") ? 2 : 0),
  );
}

/** The Message-ID of what is returned, `<…>`; undefined if there is none that may stand in a header of ours. */
export function messageIdOf({ bytes }: ReturnedOriginal): string | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  const header = bytes.toString("latin1", 0, Math.min(end < 0 ? bytes.length : end, MAX_HEADER_BYTES));
  return /^message-id[ \t]*:\s*(<[\x21-\x3b=\x3f-\x7e]{1,900}>)[ \t]*$/im.exec(header)?.[1];
}
