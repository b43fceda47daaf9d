/** smtp/seven-bit.ts: a message for a server that takes no 8-bit content (RFC 6152 §3): what its header fields call 8bit or
 *  binary leaves as quoted-printable, each part by itself, while the body streams by. Content that is not called so is left
 *  alone, as by Postfix. A DKIM signature of the body does not survive this. */
import { HeaderIntake, parseFields } from "../cleanup/header-block.ts";
import { DOMAINS } from "../cleanup/mime-fields.ts";
import { type MimeEvent, type MimeLimits, MimeStructure, type PartKind } from "../cleanup/mime-structure.ts";
import { QuotedPrintable } from "../cleanup/quoted-printable.ts";
import type { MessageContent } from "../mail/delivery.ts";

/** Larger than any header that cleanup lets in. */
const FIELD_LIMIT = 4 * 1024 * 1024;
const ENCODING = /^content-transfer-encoding[ \t]*:/i;
const CRLF = "\r\n";

/** The size stays that of the content as it is queued, as Postfix tells it. */
export function sevenBitContent(content: MessageContent, limits: Omit<MimeLimits, "fieldLimit">): MessageContent {
  return { sizeBytes: content.sizeBytes, chunks: () => sevenBitChunks(content, limits) };
}

async function* sevenBitChunks(
  content: MessageContent,
  limits: Omit<MimeLimits, "fieldLimit">,
): AsyncGenerator<Uint8Array> {
  const converter = new Converter({ ...limits, fieldLimit: FIELD_LIMIT });
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

class Converter {
  readonly #structure: MimeStructure;
  readonly #encoder = new QuotedPrintable();
  /** Of the part whose header is being read. */
  #fields: Buffer[] = [];

  constructor(limits: MimeLimits) {
    this.#structure = new MimeStructure(limits, new Set());
  }

  /** The message's own header. `blank`: with the empty line behind it. */
  header(bytes: Buffer, blank: boolean): Buffer {
    const fields = parseFields(bytes, Number.POSITIVE_INFINITY);
    for (const { name, text } of fields) this.#structure.primaryField(name, text);
    const kind = this.#structure.endPrimary(blank);
    const kept = DOMAINS[kind.encoding] === "7bit" ? fields : fields.filter(({ text }) => !ENCODING.test(text));
    const lines = [...kept.map(({ text }) => text + CRLF), encodingField(kind), blank ? CRLF : ""];
    return Buffer.from(lines.join(""), "latin1");
  }

  body(chunk: Buffer): Buffer {
    return this.#converted(this.#structure.push(chunk));
  }

  end(): Buffer {
    const last = this.#converted(this.#structure.end());
    // A part that ends within its header has nothing to transform.
    return Buffer.concat([last, ...this.#fields.flatMap((bytes) => [bytes, Buffer.from(CRLF)])]);
  }

  #converted(events: readonly MimeEvent[]): Buffer {
    const out: Buffer[] = [];
    for (const event of events) {
      if (event.kind === "field") this.#fields.push(event.bytes);
      else if (event.kind === "line") this.#line(event, out);
    }
    return Buffer.concat(out);
  }

  #line(line: Extract<MimeEvent, { kind: "line" }>, out: Buffer[]): void {
    if (line.ended) this.#endFields(line.ended, out);
    const { part, raw, length, ends } = line;
    const blank = line.ended !== undefined && length === 0;
    if (line.delimiter || blank || !isTransformed(part)) out.push(raw);
    else out.push(Buffer.from(this.#encoder.encode(raw.subarray(0, length), ends), "latin1"));
  }

  /** The fields of a part, held back until it is known what they say. */
  #endFields(kind: PartKind, out: Buffer[]): void {
    const drop = DOMAINS[kind.encoding] !== "7bit";
    for (const bytes of this.#fields) {
      if (!drop || !ENCODING.test(bytes.toString("latin1", 0, 64))) out.push(bytes, Buffer.from(CRLF));
    }
    this.#fields = [];
    out.push(Buffer.from(encodingField(kind)));
  }
}

/** What a part leaves as, if it cannot stay as it is. Composite types must not be encoded (RFC 2045 §6.4). */
function encodingField(kind: PartKind): string {
  if (DOMAINS[kind.encoding] === "7bit") return "";
  return `Content-Transfer-Encoding: ${isTransformed(kind) ? "quoted-printable" : "7bit"}${CRLF}`;
}

function isTransformed({ type, encoding }: PartKind): boolean {
  return DOMAINS[encoding] !== "7bit" && type !== "multipart" && type !== "message";
}
