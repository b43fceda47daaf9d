/** smtp/seven-bit.ts: a message on its way to a server that takes no 8-bit content (RFC 6152 §3). A DKIM signature of the body
 *  survives this only if there was nothing to convert: force_mime_input_conversion sees to that. */
import { HeaderIntake } from "../cleanup/header-block.ts";
import type { MimeLimits } from "../cleanup/mime-structure.ts";
import { SevenBitConverter } from "../cleanup/seven-bit-converter.ts";
import type { MessageContent } from "../mail/delivery.ts";

/** Larger than any header that cleanup lets in. */
const FIELD_LIMIT = 4 * 1024 * 1024;

/** The size stays that of the content as it is queued, as Postfix tells it. */
export function sevenBitContent(content: MessageContent, limits: Omit<MimeLimits, "fieldLimit">): MessageContent {
  return { sizeBytes: content.sizeBytes, chunks: () => sevenBitChunks(content, limits) };
}

async function* sevenBitChunks(
  content: MessageContent,
  limits: Omit<MimeLimits, "fieldLimit">,
): AsyncGenerator<Uint8Array> {
  const converter = new SevenBitConverter({ ...limits, fieldLimit: FIELD_LIMIT });
  let intake: HeaderIntake | undefined = new HeaderIntake();
  for await (const chunk of content.chunks()) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (!intake) {
      yield converter.body(bytes);
      continue;
    }
    const got = intake.push(Buffer.from(bytes));
    if (got.kind === "more") continue;
    intake = undefined;
    yield converter.header(got.header, got.blank);
    yield converter.body(got.rest);
  }
  if (intake) yield converter.header(intake.end(), false);
  yield converter.end();
}
