/** smtp/generic.ts: smtp_generic_maps (generic(5)): addresses that mean something here only are replaced in what leaves, in the
 *  envelope and in the header. The queue keeps the old ones. */
import { type HeaderField, HeaderScanner, parseFields } from "../cleanup/header-block.ts";
import { rewriteFields } from "../cleanup/rewrite-fields.ts";
import type { Address } from "../mail/address.ts";
import type { DeliveryRequest, MessageContent } from "../mail/delivery.ts";
import type { AddressMap } from "../rewrite/address-map.ts";
import { askedFor } from "../rewrite/mapping-error.ts";

/** Larger than any header that cleanup lets in; one that is larger keeps its addresses. */
const MAX_HEADER_BYTES = 4 * 1024 * 1024;

/** The request as it leaves. Rejects MappingError. */
export async function genericRequest(request: DeliveryRequest, map: AddressMap): Promise<DeliveryRequest> {
  const { envelope } = request;
  const recipients = [];
  for (const recipient of request.recipients) {
    recipients.push({ ...recipient, address: await mapped(recipient.address, map) });
  }
  const sender = await mapped(envelope.sender, map);
  return { ...request, envelope: { ...envelope, sender }, recipients, content: await mapContent(request.content, map) };
}

/** One step only: a result is not looked up again. */
async function mapped(address: Address, map: AddressMap): Promise<Address> {
  if (address === "") return address;
  const results = await askedFor(map.name, address, () => map.lookup(address));
  return results?.[0] ?? address;
}

async function mapContent(content: MessageContent, map: AddressMap): Promise<MessageContent> {
  const header = await readHeader(content);
  if (header === undefined) return content;
  const fields = parseFields(header, Number.POSITIVE_INFINITY);
  const rewritten = await genericFields(fields, map);
  if (rewritten.every((field, i) => field === fields[i])) return content;
  return withHeader(content, header.length, headerOf(rewritten));
}

/** The same objects where nothing changes. Rejects MappingError. */
export async function genericFields(fields: readonly HeaderField[], map: AddressMap): Promise<readonly HeaderField[]> {
  return rewriteFields(fields, {
    rewrite: (address) => address,
    mappings: { changes: () => true, map: (address) => mapped(address, map) },
    warn: () => undefined,
  });
}

export function headerOf(fields: readonly HeaderField[]): Buffer {
  return Buffer.from(fields.map(({ text }) => `${text}\r\n`).join(""), "latin1");
}

/** The header section without the empty line; undefined: its end was not found. */
async function readHeader(content: MessageContent): Promise<Buffer | undefined> {
  const scanner = new HeaderScanner();
  let bytes = Buffer.alloc(0);
  for await (const chunk of content.chunks()) {
    bytes = Buffer.concat([bytes, chunk]);
    const end = scanner.scan(bytes);
    if (end.kind === "end") return bytes.subarray(0, end.headerEnd);
    if (bytes.length > MAX_HEADER_BYTES) return undefined;
  }
  return undefined;
}

function withHeader(content: MessageContent, oldBytes: number, header: Buffer): MessageContent {
  return {
    sizeBytes: content.sizeBytes - oldBytes + header.length,
    async *chunks() {
      yield header;
      let skip = oldBytes;
      for await (const chunk of content.chunks()) {
        if (skip < chunk.length) yield chunk.subarray(skip);
        skip = Math.max(0, skip - chunk.length);
      }
    },
  };
}
