/** cleanup/header-block.ts: finds the end of the header section in a byte stream and splits it into fields (RFC 5322 §2.2).
 *  Never re-serialises: a field keeps the bytes it came with. Text here is latin1, so one character is one byte. */

export interface HeaderField {
  /** Lower case, white space before the colon removed (MSG-03). */
  readonly name: string;
  /** The whole field with folding, without the final CRLF. */
  readonly text: string;
}

/** What a field costs besides its bytes, in units of Turns. */
export const FIELD_COST = 16;

const FIELD_START = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:/;

/** Where the header ends in what has arrived so far. `body` is where the body begins; the empty line belongs to neither. */
export type HeaderEnd =
  | { readonly kind: "more" }
  | { readonly kind: "end"; readonly headerEnd: number; readonly bodyStart: number };

/** Scans complete lines from `from` (the start of a line). A line that is no field and no continuation ends the header:
 *  an empty line was forgotten (MSG-12, RFC 7103), and the line belongs to the body. */
export class HeaderScanner {
  #lineStart = 0;
  #first = true;

  scan(buffer: Buffer): HeaderEnd {
    for (;;) {
      const end = buffer.indexOf("\r\n", this.#lineStart, "latin1");
      if (end < 0) return { kind: "more" };
      const start = this.#lineStart;
      if (end === start) return { kind: "end", headerEnd: start, bodyStart: end + 2 };
      if (!this.#continues(buffer, start, end)) return { kind: "end", headerEnd: start, bodyStart: start };
      this.#first = false;
      this.#lineStart = end + 2;
    }
  }

  #continues(buffer: Buffer, start: number, end: number): boolean {
    const byte = buffer[start];
    if (byte === 0x20 || byte === 0x09) return !this.#first;
    // Only the name is looked at; 998 bytes cover every legal one.
    const line = buffer.toString("latin1", start, Math.min(end, start + 998));
    return FIELD_START.test(line) || (this.#first && isMailboxLine(line));
  }
}

/** `From alice Mon …` or `>From …` as first line: left behind by mbox tools (MSG-11). */
function isMailboxLine(line: string): boolean {
  return line.startsWith("From ") || line.startsWith(">From ");
}

/** Fields of a header section (as delimited by HeaderScanner), in order. `sizeLimit` cuts one field, as header_size_limit does. */
export function parseFields(header: Buffer, sizeLimit: number): readonly HeaderField[] {
  const parser = new FieldParser(header, sizeLimit);
  parser.next(Number.POSITIVE_INFINITY);
  return parser.fields;
}

/** The same for a header that may be large, some of it at a time. */
export class FieldParser {
  readonly fields: HeaderField[] = [];
  readonly #text: string;
  readonly #sizeLimit: number;
  #start = 0;

  constructor(header: Buffer, sizeLimit: number) {
    this.#text = header.toString("latin1");
    this.#sizeLimit = sizeLimit;
  }

  /** Goes on for about so many bytes, to the end of a field. False: there is no more. */
  next(bytes: number): boolean {
    const text = this.#text;
    const until = this.#start + bytes;
    let start = this.#start;
    while (start < text.length && start < until) {
      let end = text.indexOf("\r\n", start);
      while (end >= 0 && (text[end + 2] === " " || text[end + 2] === "\t")) end = text.indexOf("\r\n", end + 2);
      const stop = end < 0 ? text.length : end;
      this.#add(text.slice(start, Math.min(stop, start + this.#sizeLimit)));
      start = stop + 2;
    }
    this.#start = start;
    return start < text.length;
  }

  #add(field: string): void {
    const name = FIELD_START.exec(field)?.[1];
    if (name !== undefined) this.fields.push({ name: name.toLowerCase(), text: field });
    else if (isMailboxLine(field)) this.fields.push({ name: "x-mailbox-line", text: `X-Mailbox-Line: ${field}` });
  }
}

/** The field's value, unfolded and trimmed. */
export function fieldValue(field: HeaderField): string {
  return field.text
    .slice(field.text.indexOf(":") + 1)
    .replace(/\r\n(?=[ \t])/g, "")
    .trim();
}

/** Gathers a header section from chunks. One chunk is not copied; of many, each byte a few times at most, however small they are. */
export class HeaderIntake {
  readonly #scanner = new HeaderScanner();
  #bytes: Buffer = Buffer.alloc(0);
  /** How much of it is filled. */
  #length = 0;

  /** Takes ownership of the chunk. `rest` is the body as far as it came; `blank`: an empty line stood between. */
  push(
    chunk: Uint8Array,
  ):
    | { readonly kind: "more"; readonly sizeBytes: number }
    | { readonly kind: "end"; readonly header: Buffer; readonly rest: Buffer; readonly blank: boolean } {
    this.#gather(chunk);
    const gathered = this.end();
    const end = this.#scanner.scan(gathered);
    if (end.kind === "more") return { kind: "more", sizeBytes: gathered.length };
    return {
      kind: "end",
      header: gathered.subarray(0, end.headerEnd),
      rest: gathered.subarray(end.bodyStart),
      blank: end.bodyStart > end.headerEnd,
    };
  }

  /** The data ended inside the header: there is no body. */
  end(): Buffer {
    return this.#length === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#length);
  }

  #gather(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) this.#bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    else {
      if (length > this.#bytes.length) {
        const larger = Buffer.allocUnsafe(2 * length);
        this.#bytes.copy(larger, 0, 0, this.#length);
        this.#bytes = larger;
      }
      this.#bytes.set(chunk, this.#length);
    }
    this.#length = length;
  }
}
