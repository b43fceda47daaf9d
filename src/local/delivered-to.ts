/** local/delivered-to.ts: finds mail that comes round again: whether a header names the recipient in Delivered-To.
 *  Reads the header block only, and not more than a bounded part of it. */
import type { MessageContent } from "../mail/delivery.ts";

/** Loops show within the newest headers, which stand on top. */
const MAX_HEADER_BYTES = 256 * 1024;

/** True if a Delivered-To header holds the address, case apart (as local(8)). */
export async function wasDeliveredTo(content: MessageContent, address: string): Promise<boolean> {
  const wanted = address.toLowerCase();
  for (const line of (await readHeader(content)).split("\r\n")) {
    const m = /^delivered-to:[ \t]*(.*?)[ \t]*$/i.exec(line);
    if (m?.[1]?.toLowerCase() === wanted) return true;
  }
  return false;
}

/** Text up to the empty line, decoded as UTF-8. */
async function readHeader(content: MessageContent): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of content.chunks()) {
    const from = Math.max(0, text.length - 3);
    text += decoder.decode(chunk, { stream: true });
    const end = text.startsWith("\r\n") ? 0 : text.indexOf("\r\n\r\n", from);
    if (end >= 0) return text.slice(0, end);
    if (text.length >= MAX_HEADER_BYTES) break;
  }
  return text;
}
