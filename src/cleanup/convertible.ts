/** cleanup/convertible.ts: whether a message with binary content can be reencoded (reencode.ts) so that nothing is lost and no
 *  signature breaks; asked before it is sent, while it streams by. Holds a line, a field and the open boundaries, no more. */
import type { MessageContent } from "../mail/delivery.ts";
import { fieldValue, HeaderIntake, parseFields } from "./header-block.ts";
import { type ContentType, DOMAINS, parseContentType } from "./mime-fields.ts";
import { type MimeEvent, MimeStructure, type PartKind } from "./mime-structure.ts";
import type { Reencoding } from "./reencode.ts";

const FIELD_LIMIT = 1024 * 1024;
const UNLABELLED = "binary content that is not called so";
const CONTENT_TYPE = /^content-type[ \t]*:/i;

/** Why not; undefined: it can. */
export async function whyInconvertible(
  content: MessageContent,
  how: Pick<Reencoding, "limits" | "accepts">,
): Promise<string | undefined> {
  const reader = new Reader(how);
  let intake: HeaderIntake | undefined = new HeaderIntake();
  for await (const chunk of content.chunks()) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (intake) {
      const got = intake.push(Buffer.from(bytes));
      if (got.kind === "more") continue;
      intake = undefined;
      reader.header(got.header, got.blank);
      reader.body(got.rest);
    } else reader.body(bytes);
    if (reader.reason !== undefined) return reader.reason;
  }
  reader.end();
  return reader.reason;
}

/** A boundary that is open. */
interface Scope {
  readonly text: Buffer;
  /** What lies within is signed or encrypted as it stands. */
  readonly sealed: boolean;
}

class Reader {
  readonly #how: Pick<Reencoding, "limits" | "accepts">;
  readonly #structure: MimeStructure;
  #scopes: Scope[] = [];
  /** Of the header being read. */
  #type: ContentType | undefined;
  reason: string | undefined;

  constructor(how: Pick<Reencoding, "limits" | "accepts">) {
    this.#how = how;
    this.#structure = new MimeStructure({ ...how.limits, fieldLimit: FIELD_LIMIT }, new Set());
  }

  header(bytes: Buffer, blank: boolean): void {
    for (const field of parseFields(bytes, Number.POSITIVE_INFINITY)) {
      this.#structure.primaryField(field.name, field.text);
      if (field.name === "content-type") this.#type = parseContentType(fieldValue(field));
    }
    this.#opened(this.#structure.endPrimary(blank));
  }

  body(chunk: Buffer): void {
    for (const event of this.#structure.push(chunk)) this.#event(event);
  }

  end(): void {
    for (const event of this.#structure.end()) this.#event(event);
  }

  #event(event: MimeEvent): void {
    if (event.kind === "field") {
      const text = event.bytes.toString("latin1");
      if (/[\0\r\n]/.test(text.replaceAll("\r\n", ""))) this.reason ??= UNLABELLED;
      if (CONTENT_TYPE.test(text)) this.#type = parseContentType(text.slice(text.indexOf(":") + 1));
    } else if (event.kind === "line") {
      const line = event.raw.subarray(0, event.length);
      if (event.ended) this.#opened(event.ended);
      if (event.delimiter) this.#delimiter(line);
      else this.#content(line, event.part);
    }
  }

  #opened(kind: PartKind): void {
    const type = this.#type;
    this.#type = undefined;
    const domain = DOMAINS[kind.encoding];
    if (domain !== "7bit" && domain !== this.#how.accepts) {
      if (this.#scopes.some(({ sealed }) => sealed)) this.reason ??= `${domain} content within a signed part`;
      const piece = type?.type === "message" && (type.subtype === "partial" || type.subtype === "external-body");
      if (piece) this.reason ??= `${domain} content in message/${type.subtype}`;
    }
    if (type?.type !== "multipart") return;
    const sealed = type.subtype === "signed" || type.subtype === "encrypted";
    for (const boundary of type.boundaries) {
      const text = Buffer.from(`--${boundary}`, "latin1").subarray(0, 2 + this.#how.limits.boundaryLimit);
      if (this.#scopes.length <= this.#how.limits.nestingLimit) this.#scopes.push({ text, sealed });
    }
  }

  #delimiter(line: Buffer): void {
    const depth = this.#scopes.findLastIndex(({ text }) => line.subarray(0, text.length).equals(text));
    const scope = this.#scopes[depth];
    if (scope === undefined) return;
    const closes = line.toString("latin1", scope.text.length, scope.text.length + 2) === "--";
    this.#scopes = this.#scopes.slice(0, closes ? depth : depth + 1);
  }

  /** What is not called binary is sent in lines, and lines have neither of these. */
  #content(line: Buffer, { type, encoding }: PartKind): void {
    if (DOMAINS[encoding] === "binary" || type === "multipart") return;
    if (line.includes(0) || line.includes(10) || line.includes(13)) this.reason ??= UNLABELLED;
  }
}
