/** cleanup/long-lines.ts: the body of a message whose lines are too long for SMTP (RFC 5322 §2.1.1, DAT-08), part by part, as it
 *  streams by: text leaves as quoted-printable, what is encoded already gets shorter lines (RFC 2045 §6.7, §6.8: they mean
 *  nothing there). First it is found out which parts that concerns, then the body is written once more. */
import type { HeaderField } from "./header-block.ts";
import { type MimeEvent, type MimeLimits, MimeStructure, type PartKind } from "./mime-structure.ts";
import { QuotedPrintable } from "./quoted-printable.ts";

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Without CRLF. */
const MAX_LINE = 998;
/** Of encoded lines (RFC 2045 §6.7, §6.8). */
const ENCODED_LINE = 76;
const CRLF = Buffer.from("\r\n");
const ENCODING = /^content-transfer-encoding[ \t]*:/i;
const SOFT_BREAK = Buffer.from("=\r\n");
const EQUALS = 0x3d;

/** What is to be done; parts are numbered by their headers, the message's own is 0. */
export interface LongLinePlan {
  readonly parts: ReadonlySet<number>;
  /** The message's own content becomes quoted-printable. */
  readonly encodesWhole: boolean;
}

/** undefined: it cannot be done: a long line stands between parts, in a boundary or in binary content, or `forbidden` says so of
 *  the Content-Type field of a part. */
export async function planLongLines(
  chunks: Chunks,
  fields: readonly HeaderField[],
  { limits, forbidden }: { readonly limits: MimeLimits; readonly forbidden: (field: string) => boolean },
): Promise<LongLinePlan | undefined> {
  const parts = new Set<number>();
  let length = 0;
  let possible = true;
  const walk = new Walk(fields, limits);
  for await (const events of walk.batches(chunks)) {
    for (const event of walk.follow(events)) {
      if (event.kind === "field") possible &&= !forbidden(event.bytes.toString("latin1"));
      if (event.kind !== "line") continue;
      length = event.begins ? event.length : length + event.length;
      if (length <= MAX_LINE) continue;
      if (walk.current && isEncodable(walk.current.kind) && !event.delimiter) parts.add(walk.current.number);
      else possible = false;
    }
  }
  return possible ? { parts, encodesWhole: parts.has(0) && isPlain(walk.own) } : undefined;
}

/** The body with what `plan` says. */
export async function* shortenedLines(
  chunks: Chunks,
  fields: readonly HeaderField[],
  { plan, limits }: { readonly plan: LongLinePlan; readonly limits: MimeLimits },
): AsyncGenerator<Buffer> {
  const walk = new Walk(fields, limits);
  const writer = new PartWriter(plan);
  writer.begin(0, walk.own);
  for await (const events of walk.batches(chunks)) {
    const out: Buffer[] = [];
    for (const event of walk.follow(events)) writer.take(event, walk.current, out);
    if (out.length > 0) yield Buffer.concat(out);
  }
  yield writer.end();
}

function isPlain({ encoding }: PartKind): boolean {
  return encoding === "7bit" || encoding === "8bit";
}

function isEncodable({ type, encoding }: PartKind): boolean {
  return type !== "multipart" && type !== "message" && encoding !== "binary";
}

interface Part {
  readonly number: number;
  readonly kind: PartKind;
}

/** Goes through a body and knows in which part it is; between parts, in none. */
class Walk {
  readonly #structure: MimeStructure;
  readonly own: PartKind;
  current: Part | undefined;
  #parts = 0;

  constructor(fields: readonly HeaderField[], limits: MimeLimits) {
    this.#structure = new MimeStructure(limits, new Set());
    for (const { name, text } of fields) this.#structure.primaryField(name, text);
    this.own = this.#structure.endPrimary(true);
    this.current = { number: 0, kind: this.own };
  }

  /** What each chunk has. */
  async *batches(chunks: Chunks): AsyncGenerator<readonly MimeEvent[]> {
    for await (const chunk of chunks) {
      yield this.#structure.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
    yield this.#structure.end();
  }

  /** The events one by one, with `current` as it is then. */
  *follow(events: readonly MimeEvent[]): Generator<MimeEvent> {
    for (const event of events) {
      if (event.kind === "line" && event.ended) this.current = { number: ++this.#parts, kind: event.ended };
      if (event.kind === "line" && event.delimiter) this.current = undefined;
      yield event;
    }
  }
}

/** Takes one line, or a piece of one, without CRLF. */
type LineWriter = (bytes: Buffer, ends: boolean) => Buffer;

class PartWriter {
  readonly #plan: LongLinePlan;
  /** Of the part whose header is being read. */
  #fields: Buffer[] = [];
  /** undefined: lines stay. */
  #write: LineWriter | undefined;

  constructor(plan: LongLinePlan) {
    this.#plan = plan;
  }

  begin(number: number, kind: PartKind): void {
    this.#write = this.#plan.parts.has(number) ? lineWriterFor(kind) : undefined;
  }

  take(event: MimeEvent, part: Part | undefined, out: Buffer[]): void {
    if (event.kind === "field") this.#fields.push(event.bytes, CRLF);
    if (event.kind !== "line") return;
    const blank = event.ended !== undefined && event.length === 0;
    if (event.ended && part) out.push(this.#header(part, blank));
    else if (this.#fields.length > 0) out.push(this.end());
    if (event.delimiter) this.#write = undefined;
    if (this.#write === undefined || blank) out.push(event.raw);
    else out.push(this.#write(event.raw.subarray(0, event.length), event.ends));
  }

  /** A part that ends within its header. */
  end(): Buffer {
    return Buffer.concat(this.#fields.splice(0));
  }

  #header({ number, kind }: Part, blank: boolean): Buffer {
    this.begin(number, kind);
    const fields = this.#fields.splice(0);
    if (!this.#write || !isPlain(kind)) return Buffer.concat(fields);
    const kept = fields.filter((bytes, i) => {
      const name = bytes === CRLF ? fields[i - 1] : bytes;
      return !ENCODING.test(name?.toString("latin1", 0, 64) ?? "");
    });
    const said = `Content-Transfer-Encoding: quoted-printable\r\n${blank ? "" : "\r\n"}`;
    return Buffer.concat([...kept, Buffer.from(said)]);
  }
}

function lineWriterFor(kind: PartKind): LineWriter {
  if (isPlain(kind)) {
    const encoder = new QuotedPrintable();
    return (bytes, ends) => Buffer.from(encoder.encode(bytes, ends), "latin1");
  }
  return kind.encoding === "base64" ? base64Lines() : softBreaks();
}

function base64Lines(): LineWriter {
  let column = 0;
  return (bytes, ends) => {
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      if (column === ENCODED_LINE) {
        out.push(CRLF);
        column = 0;
      }
      const end = Math.min(bytes.length, at + ENCODED_LINE - column);
      out.push(bytes.subarray(at, end));
      column += end - at;
      at = end;
    }
    if (!ends) return Buffer.concat(out);
    column = 0;
    return Buffer.concat([...out, CRLF]);
  };
}

/** Of quoted-printable: none in front of the "=" that is a soft break itself. None comes inside `=C3`, which always finds room. */
function softBreaks(): LineWriter {
  let column = 0;
  return (bytes, ends) => {
    const out: Buffer[] = [];
    let start = 0;
    for (const [at, byte] of bytes.entries()) {
      const last = ends && at === bytes.length - 1;
      // Of what follows, "=C3" and the "=" of a break must find room.
      if (!last && column >= ENCODED_LINE - (byte === EQUALS ? 3 : 1)) {
        out.push(bytes.subarray(start, at), SOFT_BREAK);
        start = at;
        column = 0;
      }
      column++;
    }
    out.push(bytes.subarray(start));
    if (!ends) return Buffer.concat(out);
    column = 0;
    return Buffer.concat([...out, CRLF]);
  };
}
