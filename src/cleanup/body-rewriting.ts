/** cleanup/body-rewriting.ts: a body with other lines, labels or fields in some of its parts, as it streams by. What is not named
 *  keeps its bytes. */

import { hasEightBitText, partField } from "./body-faults.ts";
import { type BodyFacts, contentCharset } from "./duties/duty.ts";
import { encodedField } from "./duties/eight-bit-header.ts";
import { isPlain, type LineWriter, lineWriterFor } from "./encoded-lines.ts";
import type { HeaderField } from "./header-block.ts";
import type { FieldClass, MimeEvent, MimeLimits } from "./mime-structure.ts";
import { type Chunks, type Part, PartWalk } from "./part-walk.ts";

const CRLF = Buffer.from("\r\n");
const ENCODING = /^content-transfer-encoding[ \t]*:/i;
const TYPE = /^content-type[ \t]*:/i;
const VERSION = /^mime-version[ \t]*:/i;

/** encode: other lines (encoded-lines.ts), and the label that fits. label: it is called 8bit. */
export type PartChange = "encode" | "label";

export interface BodyChanges {
  /** By number. The header of the message itself, 0, is not here. */
  readonly parts: ReadonlyMap<number, PartChange>;
  /** 8-bit text in fields of parts becomes encoded words. */
  readonly fields: boolean;
  /** With `fields`: UTF-8 may stay. */
  readonly smtputf8: boolean;
  /** Of the whole body, for parts that do not say what they are. */
  readonly facts: BodyFacts;
}

/** `fields`: the message's own. */
export async function* rewrittenBody(
  chunks: Chunks,
  fields: readonly HeaderField[],
  { changes, limits }: { readonly changes: BodyChanges; readonly limits: MimeLimits },
): AsyncGenerator<Buffer> {
  const walk = new PartWalk(fields, limits);
  const writer = new PartWriter(changes);
  writer.begin(walk.own);
  for await (const events of walk.batches(chunks)) {
    const out: Buffer[] = [];
    for (const event of walk.follow(events)) writer.take(event, walk.begun, out);
    if (out.length > 0) yield Buffer.concat(out);
  }
  yield writer.end();
}

class PartWriter {
  readonly #changes: BodyChanges;
  /** Of the part whose header is being read, without line ends. */
  #fields: Buffer[] = [];
  #where: FieldClass = "mime";
  /** undefined: lines stay. */
  #write: LineWriter | undefined;

  constructor(changes: BodyChanges) {
    this.#changes = changes;
  }

  begin({ number, kind }: Part): void {
    this.#write = this.#changes.parts.get(number) === "encode" ? lineWriterFor(kind) : undefined;
  }

  /** `begun`: the part whose header the line ends. */
  take(event: MimeEvent, begun: Part | undefined, out: Buffer[]): void {
    if (event.kind === "field") {
      this.#where = event.where;
      this.#fields.push(this.#mended(event.bytes));
    }
    if (event.kind !== "line") return;
    const blank = begun !== undefined && event.length === 0;
    if (begun) out.push(this.#header(begun, blank));
    if (event.delimiter) this.#write = undefined;
    if (this.#write === undefined || blank) out.push(event.raw);
    else out.push(this.#write(event.raw.subarray(0, event.length), event.ends));
  }

  /** A part that ends within its header. */
  end(): Buffer {
    return lines(this.#fields.splice(0));
  }

  #mended(bytes: Buffer): Buffer {
    if (!this.#changes.fields || !hasEightBitText(bytes, this.#changes.smtputf8)) return bytes;
    const encoded = encodedField(partField(bytes.toString("latin1")));
    return encoded ? Buffer.from(encoded.text, "latin1") : bytes;
  }

  #header(part: Part, blank: boolean): Buffer {
    this.begin(part);
    const fields = this.#fields.splice(0);
    const change = this.#changes.parts.get(part.number);
    if (change === undefined || (change === "encode" && !isPlain(part.kind))) return lines(fields);
    const kept = fields.filter((bytes) => !isField(bytes, ENCODING));
    // Encoded content could look like a field; other content is the line that it was.
    const ended = blank || change === "label";
    const encoding = change === "label" ? "8bit" : "quoted-printable";
    const said = [...this.#type(part, kept), `Content-Transfer-Encoding: ${encoding}`];
    return Buffer.concat([lines(kept), lines(said.map((text) => Buffer.from(text))), ...(ended ? [] : [CRLF])]);
  }

  /** For content beyond ASCII that does not say what it is; an enclosed message says which language its fields are in, too. */
  #type({ kind }: Part, fields: readonly Buffer[]): readonly string[] {
    const { facts } = this.#changes;
    const has = (name: RegExp) => fields.some((bytes) => isField(bytes, name));
    if (!facts.eightBit || kind.type !== "text" || has(TYPE)) return [];
    const version = this.#where === "nested" && !has(VERSION) ? ["MIME-Version: 1.0"] : [];
    return [...version, `Content-Type: text/plain; charset=${contentCharset(facts)}`];
  }
}

function isField(bytes: Buffer, name: RegExp): boolean {
  return name.test(bytes.toString("latin1", 0, 64));
}

function lines(all: readonly Buffer[]): Buffer {
  return Buffer.concat(all.flatMap((bytes) => [bytes, CRLF]));
}
