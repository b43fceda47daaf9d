/** cleanup/reencode.ts: a message for a hop that takes no 8-bit or no binary content (RFC 6152 §3, RFC 3030 §3): what its header
 *  fields call 8bit leaves as quoted-printable, what they call binary as base64, each part by itself, while the body
 *  streams by. Content that is not called so is left alone, as by Postfix. A signature of the body (DKIM) does not survive this. */
import type { Parameters } from "../config/parameters.ts";
import type { MessageContent } from "../mail/delivery.ts";
import { Base64Lines } from "./base64-lines.ts";
import { HeaderIntake, parseFields } from "./header-block.ts";
import { DOMAINS } from "./mime-fields.ts";
import { type MimeEvent, type MimeLimits, MimeStructure, type PartKind } from "./mime-structure.ts";
import { QuotedPrintable } from "./quoted-printable.ts";

/** Larger than any header that cleanup lets in. */
const FIELD_LIMIT = 4 * 1024 * 1024;
const ENCODING = /^content-transfer-encoding[ \t]*:/i;
const CRLF = "\r\n";

export type BodyLimits = Omit<MimeLimits, "fieldLimit">;

/** How parts are told apart. */
export function bodyLimits(params: Parameters): BodyLimits {
  return {
    lineLimit: params.get("line_length_limit"),
    nestingLimit: params.get("mime_nesting_limit"),
    boundaryLimit: params.get("mime_boundary_length_limit"),
    disabled: false,
  };
}

export interface Reencoding {
  readonly limits: BodyLimits;
  /** What the hop takes. */
  readonly accepts: "7bit" | "8bit";
  /** What becomes of binary parts. Quoted-printable is what Postfix makes of them, and right for text that is called so. */
  readonly binary: "base64" | "quoted-printable";
  /** Told at the end, if some part was changed. */
  readonly changed?: (() => void) | undefined;
}

/** The size stays that of the content as it is queued, as Postfix tells it. */
export function reencoded(content: MessageContent, how: Reencoding): MessageContent {
  return { sizeBytes: content.sizeBytes, chunks: () => reencodedChunks(content, how) };
}

async function* reencodedChunks(content: MessageContent, how: Reencoding): AsyncGenerator<Uint8Array> {
  const converter = new PartConverter(how);
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
  if (converter.changed) how.changed?.();
}

/** One message, piece by piece. */
export class PartConverter {
  readonly #how: Reencoding;
  readonly #structure: MimeStructure;
  readonly #quoted = new QuotedPrintable();
  readonly #base64 = new Base64Lines();
  /** Some header says something else now. */
  changed = false;
  /** Of the part whose header is being read. */
  #fields: Buffer[] = [];

  constructor(how: Reencoding) {
    this.#how = how;
    this.#structure = new MimeStructure({ ...how.limits, fieldLimit: FIELD_LIMIT }, new Set());
  }

  /** The message's own header. `blank`: with the empty line behind it. */
  header(bytes: Buffer, blank: boolean): Buffer {
    const fields = parseFields(bytes, Number.POSITIVE_INFINITY);
    for (const { name, text } of fields) this.#structure.primaryField(name, text);
    const kind = this.#structure.endPrimary(blank);
    const said = this.#encodingField(kind);
    const kept = said === "" ? fields : fields.filter(({ text }) => !ENCODING.test(text));
    const lines = [...kept.map(({ text }) => text + CRLF), said, blank ? CRLF : ""];
    return Buffer.from(lines.join(""), "latin1");
  }

  body(chunk: Buffer): Buffer {
    return this.#converted(this.#structure.push(chunk));
  }

  end(): Buffer {
    const last = this.#converted(this.#structure.end());
    const coded = Buffer.from(this.#base64.end(false), "latin1");
    // A part that ends within its header has nothing to transform.
    return Buffer.concat([last, coded, ...this.#fields.flatMap((bytes) => [bytes, Buffer.from(CRLF)])]);
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
    const { part, raw, length, ends } = line;
    if (line.delimiter) out.push(Buffer.from(this.#base64.end(true), "latin1"));
    if (line.ended) this.#endFields(line.ended, out);
    const blank = line.ended !== undefined && length === 0;
    const coding = line.delimiter || blank ? undefined : this.#codingOf(part);
    if (coding === undefined) out.push(raw);
    else {
      const encoder = coding === "base64" ? this.#base64 : this.#quoted;
      out.push(Buffer.from(encoder.encode(raw.subarray(0, length), ends), "latin1"));
    }
  }

  /** The fields of a part, held back until it is known what they say. */
  #endFields(kind: PartKind, out: Buffer[]): void {
    const said = this.#encodingField(kind);
    for (const bytes of this.#fields) {
      if (said === "" || !ENCODING.test(bytes.toString("latin1", 0, 64))) out.push(bytes, Buffer.from(CRLF));
    }
    this.#fields = [];
    out.push(Buffer.from(said));
  }

  /** What a part leaves as, if it cannot stay as it is; else "". */
  #encodingField(kind: PartKind): string {
    if (isAccepted(kind, this.#how.accepts)) return "";
    this.changed = true;
    return `Content-Transfer-Encoding: ${this.#codingOf(kind) ?? this.#how.accepts}${CRLF}`;
  }

  /** undefined: its content stays. Composite types must not be encoded (RFC 2045 §6.4). */
  #codingOf(kind: PartKind): "base64" | "quoted-printable" | undefined {
    if (isAccepted(kind, this.#how.accepts) || kind.type === "multipart" || kind.type === "message") return undefined;
    return DOMAINS[kind.encoding] === "binary" ? this.#how.binary : "quoted-printable";
  }
}

function isAccepted({ encoding }: PartKind, accepts: Reencoding["accepts"]): boolean {
  const domain = DOMAINS[encoding];
  return domain === "7bit" || domain === accepts;
}
