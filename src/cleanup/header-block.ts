/** cleanup/header-block.ts: finds the end of the header section in a byte stream and splits it into fields (RFC 5322 §2.2).
 *  Never re-serialises: a field keeps the bytes it came with. Text here is latin1, so one character is one byte. */

export interface HeaderField {
  /** Lower case, white space before the colon removed (MSG-03). */
  readonly name: string;
  /** The whole field with folding, without the final CRLF. */
  readonly text: string;
}

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
  const fields: HeaderField[] = [];
  const text = header.toString("latin1");
  let start = 0;
  while (start < text.length) {
    let end = text.indexOf("\r\n", start);
    while (end >= 0 && (text[end + 2] === " " || text[end + 2] === "\t")) end = text.indexOf("\r\n", end + 2);
    const stop = end < 0 ? text.length : end;
    const field = text.slice(start, Math.min(stop, start + sizeLimit));
    const name = FIELD_START.exec(field)?.[1];
    if (name !== undefined) fields.push({ name: name.toLowerCase(), text: field });
    else if (isMailboxLine(field)) fields.push({ name: "x-mailbox-line", text: `X-Mailbox-Line: ${field}` });
    start = stop + 2;
  }
  return fields;
}

/** The field's value, unfolded and trimmed. */
export function fieldValue(field: HeaderField): string {
  return field.text
    .slice(field.text.indexOf(":") + 1)
    .replace(/\r\n(?=[ \t])/g, "")
    .trim();
}

/** Gathers a header section from chunks. What has arrived is one buffer; the caller's limit on it bounds the copying. */
export class HeaderIntake {
  readonly #scanner = new HeaderScanner();
  #pending: Buffer[] = [];

  /** Takes ownership of the chunk. `rest` is the body as far as it came; `blank`: an empty line stood between. */
  push(
    chunk: Uint8Array,
  ):
    | { readonly kind: "more"; readonly sizeBytes: number }
    | { readonly kind: "end"; readonly header: Buffer; readonly rest: Buffer; readonly blank: boolean } {
    this.#pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
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
    if (this.#pending.length !== 1) this.#pending = [Buffer.concat(this.#pending)];
    return this.#pending[0] ?? Buffer.alloc(0);
  }
}
