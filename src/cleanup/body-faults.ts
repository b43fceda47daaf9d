/** cleanup/body-faults.ts: what is wrong in the parts of a stored body: lines that are too long (RFC 5322 §2.1.1, DAT-08), 8-bit
 *  content that is called 7bit (RFC 2045 §6.2), 8-bit text in header fields (RFC 2047). Holds one line of the body, and the
 *  numbers of the parts at fault, bounded. */
import { isAscii, isUtf8 } from "node:buffer";
import { encodedField } from "./duties/eight-bit-header.ts";
import { isOpaque } from "./duties/mime.ts";
import { isEncodable, isPlain } from "./encoded-lines.ts";
import type { HeaderField } from "./header-block.ts";
import type { MimeEvent, MimeLimits, PartKind } from "./mime-structure.ts";
import { type Chunks, type Part, PartWalk } from "./part-walk.ts";

/** Without CRLF. */
const MAX_LINE = 998;
const ENCODING = /^content-transfer-encoding[ \t]*:/i;
/** Parts with 8-bit content that is called 7bit. */
const MOST_PARTS = 10_000;

export interface BodyFaults {
  /** What the message says of its own content. */
  readonly own: PartKind;
  /** Parts with long lines that can be shortened. */
  readonly long: ReadonlySet<number>;
  /** Another long line: between parts, in a boundary, in binary content. */
  readonly longElsewhere: boolean;
  /** Parts that are called 7bit and are not. The value tells whether they can be encoded. */
  readonly unlabelled: ReadonlyMap<number, boolean>;
  /** Parts around those that are called 7bit themselves. */
  readonly around: ReadonlySet<number>;
  /** There are more of them than can be mended. */
  readonly tooMany: boolean;
  /** Quoted-printable or base64 with 8-bit octets in it. */
  readonly encodedEightBit: boolean;
  /** The first field with 8-bit text. */
  readonly field: HeaderField | undefined;
  /** Whether some of them can be encoded, and whether some cannot. */
  readonly fieldsMendable: boolean;
  readonly fieldsLeft: boolean;
  /** Some part is signed or encrypted as it stands. */
  readonly sealed: boolean;
}

export interface FaultSearch {
  readonly limits: MimeLimits;
  /** UTF-8 may stand in header fields (RFC 6532). */
  readonly smtputf8: boolean;
  /** Of a Content-Type field. */
  readonly isSealed: (field: string) => boolean;
}

/** `fields`: the message's own. Rejects what reading the body rejects. */
export async function findBodyFaults(
  chunks: Chunks,
  fields: readonly HeaderField[],
  search: FaultSearch,
): Promise<BodyFaults> {
  const walk = new PartWalk(fields, search.limits);
  const found = new Search(search, walk);
  for await (const events of walk.batches(chunks)) {
    for (const event of walk.follow(events)) {
      if (event.kind === "field") found.field(event.bytes);
      else if (event.kind === "line") found.line(event);
    }
  }
  return found.faults;
}

class Search {
  readonly #how: FaultSearch;
  readonly #walk: PartWalk;
  readonly #long = new Set<number>();
  readonly #unlabelled = new Map<number, boolean>();
  readonly #around = new Set<number>();
  #longElsewhere = false;
  #tooMany = false;
  #encodedEightBit = false;
  #field: HeaderField | undefined;
  #fieldsMendable = false;
  #fieldsLeft = false;
  #sealed = false;
  #length = 0;
  /** An encoding that nobody knows has just been named. */
  #namesOpaque = false;
  /** The last part with one: what its octets mean is not known. */
  #opaque: Part | undefined;

  constructor(how: FaultSearch, walk: PartWalk) {
    this.#how = how;
    this.#walk = walk;
  }

  get faults(): BodyFaults {
    return {
      own: this.#walk.own.kind,
      ...{ long: this.#long, longElsewhere: this.#longElsewhere },
      ...{ unlabelled: this.#unlabelled, around: this.#around, tooMany: this.#tooMany },
      ...{ encodedEightBit: this.#encodedEightBit, sealed: this.#sealed },
      ...{ field: this.#field, fieldsMendable: this.#fieldsMendable, fieldsLeft: this.#fieldsLeft },
    };
  }

  field(bytes: Buffer): void {
    const text = bytes.toString("latin1");
    this.#sealed ||= this.#how.isSealed(text);
    if (ENCODING.test(text)) this.#namesOpaque = isOpaque(text.slice(text.indexOf(":") + 1));
    if (!hasEightBitText(bytes, this.#how.smtputf8)) return;
    const field = partField(text);
    this.#field ??= field;
    if (encodedField(field) === undefined) this.#fieldsLeft = true;
    else this.#fieldsMendable = true;
  }

  line({ raw, length, begins, delimiter }: Extract<MimeEvent, { kind: "line" }>): void {
    const { current, begun } = this.#walk;
    if (begun) {
      if (this.#namesOpaque) this.#opaque = begun;
      this.#namesOpaque = false;
    }
    this.#length = begins ? length : this.#length + length;
    if (this.#length > MAX_LINE) {
      if (isEncodable(current.kind) && !delimiter) this.#long.add(current.number);
      else this.#longElsewhere = true;
    }
    if (!isAscii(raw) && current !== this.#opaque) this.#eightBit(current);
  }

  #eightBit({ number, kind }: Part): void {
    if (kind.encoding === "7bit") {
      if (this.#unlabelled.has(number)) return;
      if (this.#unlabelled.size >= MOST_PARTS) this.#tooMany = true;
      else {
        this.#unlabelled.set(number, isEncodable(kind));
        this.#markAround();
      }
    } else if (kind.encoding !== "binary" && !isPlain(kind)) this.#encodedEightBit = true;
  }

  /** Around a part that has been marked, all are. */
  #markAround(): void {
    for (const { number, kind } of this.#walk.around()) {
      if (this.#around.has(number) || this.#around.size >= MOST_PARTS) return;
      if (kind.encoding === "7bit") this.#around.add(number);
    }
  }
}

/** Text of a field that has to be encoded. */
export function hasEightBitText(bytes: Buffer, smtputf8: boolean): boolean {
  return !isAscii(bytes) && !(smtputf8 && isUtf8(bytes));
}

/** `text`: latin1 text of a part's field. */
export function partField(text: string): HeaderField {
  return { name: text.slice(0, text.indexOf(":")).trimEnd().toLowerCase(), text };
}
