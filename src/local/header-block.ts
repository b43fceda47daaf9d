/** local/header-block.ts: what the agents read of a message's header block: whether it was delivered to an address before, and
 *  its Message-Id. Not more than a bounded part of it is read. */
import type { MessageContent } from "../mail/delivery.ts";

/** Loops show within the newest headers, which stand on top. */
const MAX_HEADER_BYTES = 256 * 1024;

/** True if a Delivered-To header holds the address, case apart (as local(8)). */
export function wasDeliveredTo(header: string, address: string): boolean {
  const wanted = address.toLowerCase();
  for (const line of header.split("\r\n")) {
    const m = /^delivered-to:[ \t]*(.*?)[ \t]*$/i.exec(line);
    if (m?.[1]?.toLowerCase() === wanted) return true;
  }
  return false;
}

/** How many hosts it has passed. */
export function hopsOf(header: string): number {
  return header.match(/^received:/gim)?.length ?? 0;
}

/** `<…>`; "<>" if there is none. */
export function messageIdOf(header: string): string {
  return /^message-id:\s*(<[^\r\n]*>)\s*$/im.exec(header)?.[1] ?? "<>";
}

/** Text up to the empty line, decoded as UTF-8. */
export async function readHeader(content: MessageContent): Promise<string> {
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
