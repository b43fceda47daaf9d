/** cleanup/mime-structure.ts: the structure of a message body as it streams by (RFC 2046): which lines are header fields of
 *  parts and of enclosed messages, which are content. Holds one field or one line and a stack of boundaries, all bounded;
 *  never the body. The same bytes give the same events, however they are cut. Decides nothing.
 *
 *  States: fields of a part ("mime") or of an enclosed message ("nested"), and "body". A line that begins with `--` and an
 *  open boundary begins a part, whatever stands behind it: a reader may stop at the cut of an overlong boundary, and
 *  nobody may hide behind cruft. A body line is given in pieces of at most `lineLimit` bytes. */
import { isAscii } from "node:buffer";
import { DOMAINS, type Encoding, type MimeType, parseContentType, parseEncoding } from "./mime-fields.ts";

export type FieldClass = "mime" | "nested";

export type MimeEvent =
  /** One header field of a part, as it came, folding inside and no line end behind it. */
  | { readonly kind: "field"; readonly where: FieldClass; readonly bytes: Buffer }
  /** Told once for each fault that is watched, with the text that it was found in. */
  | { readonly kind: "fault"; readonly fault: MimeFault; readonly text: string }
  /** A line, or a piece of one: `ends` tells whether it has CRLF, `begins` whether it is the first piece. `length` is
   *  without CRLF; `offset` counts from the empty line in front, which is its first byte, line ends as one byte. */
  | {
      readonly kind: "line";
      /** With CRLF, if it ends. A view of the bytes that were pushed. */
      readonly raw: Buffer;
      readonly length: number;
      readonly begins: boolean;
      readonly ends: boolean;
      readonly offset: number;
      /** What the line is: the first one behind the header of a part or enclosed message, with what that header says; a line
       *  that begins or ends a part; or content of the part. A delimiter may end a header as well. */
      readonly ended?: PartKind | undefined;
      readonly delimiter: boolean;
      /** Of a delimiter: which of the open boundaries it has, counted from the outermost, 1. Else 0. */
      readonly depth: number;
      readonly part: PartKind;
    };

/** What a header says of its content. */
export interface PartKind {
  readonly type: MimeType;
  readonly encoding: Encoding;
}

export type MimeFault = "nesting" | "8bit-header" | "8bit-body" | "encoding";

export interface MimeLimits {
  /** line_length_limit */
  readonly lineLimit: number;
  /** header_size_limit */
  readonly fieldLimit: number;
  /** mime_nesting_limit */
  readonly nestingLimit: number;
  /** mime_boundary_length_limit */
  readonly boundaryLimit: number;
  /** disable_mime_input_processing: everything behind the header is body. */
  readonly disabled: boolean;
}

interface Boundary {
  readonly text: Buffer;
  /** multipart/digest: its parts are messages where they do not say otherwise. */
  readonly digest: boolean;
}

type Line = Extract<MimeEvent, { kind: "line" }>;

const CR = 13;
const LF = 10;
const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from("\r\n");
const FIELD_START = /^[\x21-\x39\x3b-\x7e]+[ \t]*:/;
/** What is read of a line to see a field name in it. */
const NAME_BYTES = 998;

export class MimeStructure {
  readonly #limits: MimeLimits;
  readonly #unseen: Set<MimeFault>;
  readonly #events: MimeEvent[] = [];
  readonly #stack: Boundary[] = [];
  #state: FieldClass | "body" = "body";
  #type: MimeType = "text";
  #subtype = "plain";
  #encoding: Encoding = "7bit";
  #offset = 0;
  #part: PartKind = { type: "text", encoding: "7bit" };
  /** Of the header that has just ended. */
  #ended: PartKind | undefined;
  /** Bytes that end no line yet. */
  #rest: Buffer = EMPTY;
  /** The line goes on: its next piece begins no field, boundary or line. */
  #inLine = false;
  #field: Buffer[] = [];
  #fieldBytes = 0;

  constructor(limits: MimeLimits, watched: ReadonlySet<MimeFault>) {
    this.#limits = limits;
    this.#unseen = new Set(limits.disabled ? [] : watched);
  }

  /** A field of the message's own header, in latin1; `name` in lower case. Gives faults only. */
  primaryField(name: string, text: string): readonly MimeEvent[] {
    if (!this.#limits.disabled) this.#readField(name, text);
    return this.#events.splice(0);
  }

  /** The message's own header ends; a fault that shows now comes with the body. `blank`: with an empty line. Gives what
   *  the header says of the content. */
  endPrimary(blank: boolean): PartKind {
    if (!this.#limits.disabled) this.#endFields(blank);
    const ended = this.#ended ?? this.#part;
    this.#ended = undefined;
    // The empty line counts, and is not among what is pushed.
    this.#offset = 1;
    return ended;
  }

  /** Takes the next bytes of the body and gives what is complete. */
  push(chunk: Buffer): readonly MimeEvent[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const next = this.#pieceFrom(bytes, at);
      if (next === undefined) break;
      const start = at;
      at = next.end + (next.ends ? CRLF.length : 0);
      this.#piece(bytes.subarray(start, at), next.end - start);
    }
    this.#rest = bytes.subarray(at);
    return this.#events.splice(0);
  }

  /** The body ends: what was held back. */
  end(): readonly MimeEvent[] {
    if (this.#rest.length > 0) this.#piece(this.#rest, this.#rest.length);
    this.#rest = EMPTY;
    this.#flushField();
    return this.#events.splice(0);
  }

  #fault(fault: MimeFault, text: string): void {
    if (this.#unseen.delete(fault)) this.#events.push({ kind: "fault", fault, text });
  }

  /** Where the next piece ends; undefined: more bytes must come first. */
  #pieceFrom(bytes: Buffer, at: number): { readonly end: number; readonly ends: boolean } | undefined {
    const { lineLimit } = this.#limits;
    for (let lf = bytes.indexOf(LF, at); lf >= 0 && lf <= at + lineLimit; lf = bytes.indexOf(LF, lf + 1)) {
      if (lf > at && bytes[lf - 1] === CR) return { end: lf - 1, ends: true };
    }
    if (bytes.length - at <= lineLimit) return undefined;
    return { end: at + lineLimit, ends: false };
  }

  #piece(raw: Buffer, length: number): void {
    const begins = !this.#inLine;
    this.#inLine = raw.length === length;
    if (this.#state !== "body" && this.#takesField(raw.subarray(0, length), begins)) return;
    this.#bodyPiece({ kind: "line", raw, length, begins, ends: raw.length > length });
  }

  /** True: the bytes belong to a field. Otherwise the header of the part is over. */
  #takesField(bytes: Buffer, begins: boolean): boolean {
    const open = this.#field.length > 0;
    if (open && (!begins || bytes[0] === 0x20 || bytes[0] === 0x09)) {
      this.#growField(begins ? [CRLF, bytes] : [bytes]);
      return true;
    }
    this.#flushField();
    if (begins && FIELD_START.test(bytes.toString("latin1", 0, NAME_BYTES))) {
      this.#growField([bytes]);
      return true;
    }
    this.#endFields(begins && bytes.length === 0);
    return false;
  }

  /** What lies above the limit is dropped, as in the message's own header. */
  #growField(parts: readonly Buffer[]): void {
    const room = this.#limits.fieldLimit - this.#fieldBytes;
    const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    if (bytes === undefined || room <= 0) return;
    const kept = Buffer.from(bytes.subarray(0, room));
    this.#field.push(kept);
    this.#fieldBytes += kept.length;
  }

  #flushField(): void {
    if (this.#field.length === 0 || this.#state === "body") return;
    const bytes = this.#field.length === 1 ? (this.#field[0] ?? EMPTY) : Buffer.concat(this.#field);
    this.#field = [];
    this.#fieldBytes = 0;
    const text = bytes.toString("latin1");
    this.#readField(text.slice(0, text.indexOf(":")).trimEnd().toLowerCase(), text);
    this.#events.push({ kind: "field", where: this.#state, bytes });
  }

  #readField(name: string, text: string): void {
    if (this.#unseen.has("8bit-header") && /[\x80-\xff]/.test(text)) this.#fault("8bit-header", text);
    const value = text.slice(text.indexOf(":") + 1);
    if (name === "content-type") this.#contentType(value, text);
    else if (name === "content-transfer-encoding") this.#encoding = parseEncoding(value) ?? this.#encoding;
  }

  #contentType(value: string, text: string): void {
    const parsed = parseContentType(value);
    // A second Content-Type of no interest does not hide what the first one said.
    if (parsed?.type === "other" && this.#type !== "text") return;
    this.#type = parsed?.type ?? "other";
    this.#subtype = parsed?.subtype ?? "";
    if (parsed?.type !== "multipart") return;
    for (const boundary of parsed.boundaries) {
      // Postfix counts from -1 and refuses what comes on top of the limit.
      if (this.#stack.length > this.#limits.nestingLimit + 1) {
        this.#fault("nesting", text);
        return;
      }
      const bytes = Buffer.from(`--${boundary}`, "latin1").subarray(0, 2 + this.#limits.boundaryLimit);
      this.#stack.push({ text: bytes, digest: parsed.subtype === "digest" });
    }
  }

  /** Behind the fields of a part or message: does another header follow? Without an empty line it does not. */
  #endFields(blank: boolean): void {
    this.#checkDomain();
    this.#part = this.#ended = { type: this.#type, encoding: this.#encoding };
    this.#offset = 0;
    const message = this.#type === "message" && this.#subtype === "rfc822";
    if (blank && message) this.#enter("nested", "text", "plain");
    else if (blank && this.#type === "multipart") this.#enter("body", "other", "");
    else this.#state = "body";
  }

  /** multipart and message say what their parts are, and must not be transformed themselves (RFC 2045 §6.4). */
  #checkDomain(): void {
    const domain = DOMAINS[this.#encoding];
    const partial = this.#type === "message" && (this.#subtype === "partial" || this.#subtype === "external-body");
    // Others, such as message/global, may be transformed (RFC 6532 §3.5).
    const composite = this.#type === "multipart" || (this.#type === "message" && this.#subtype === "rfc822");
    if (partial ? domain !== "7bit" : composite && domain !== this.#encoding) this.#fault("encoding", this.#encoding);
  }

  #enter(state: FieldClass | "body", type: MimeType, subtype: string): void {
    this.#state = state;
    this.#type = type;
    this.#subtype = subtype;
    this.#encoding = "7bit";
    this.#part = { type, encoding: "7bit" };
  }

  #bodyPiece(line: Pick<Line, "kind" | "raw" | "length" | "begins" | "ends">): void {
    const { raw, length } = line;
    const part = this.#part;
    let depth = 0;
    if (this.#encoding === "7bit" && this.#unseen.has("8bit-body") && !isAscii(raw)) {
      this.#fault("8bit-body", raw.toString("latin1", 0, Math.min(length, NAME_BYTES)));
    }
    if (line.begins && this.#stack.length > 0 && raw[0] === 0x2d && raw[1] === 0x2d) {
      depth = this.#delimiter(raw.subarray(0, length));
    }
    this.#events.push({ ...line, offset: this.#offset, delimiter: depth > 0, depth, part, ended: this.#ended });
    this.#ended = undefined;
    this.#offset += length + 1;
  }

  /** The innermost boundary that fits; those inside it end with it. Which one; 0: the line is none. */
  #delimiter(line: Buffer): number {
    const depth = this.#stack.findLastIndex(({ text }) => line.subarray(0, text.length).equals(text));
    const boundary = this.#stack[depth];
    if (boundary === undefined) return 0;
    const closes = line.toString("latin1", boundary.text.length, boundary.text.length + 2) === "--";
    this.#stack.length = closes ? depth : depth + 1;
    if (closes) {
      this.#offset = 0;
      this.#enter("body", "other", "");
    } else if (boundary.digest) this.#enter("mime", "message", "rfc822");
    else this.#enter("mime", "text", "plain");
    return depth + 1;
  }
}
