/** cleanup/seven-bit-converter.ts: content as 7-bit MIME (RFC 6152 §3): what its header fields call 8bit or binary becomes
 *  quoted-printable, each part by itself, while the body streams by. Content that is not called so is left alone, as by Postfix. */
import { parseFields } from "./header-block.ts";
import { DOMAINS } from "./mime-fields.ts";
import { type MimeEvent, type MimeLimits, MimeStructure, type PartKind } from "./mime-structure.ts";
import { QuotedPrintable } from "./quoted-printable.ts";

const ENCODING = /^content-transfer-encoding[ \t]*:/i;
const CRLF = "\r\n";

export class SevenBitConverter {
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
