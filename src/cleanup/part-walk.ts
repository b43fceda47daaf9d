/** cleanup/part-walk.ts: goes through a body and knows in which part it is. Parts are numbered by their headers, in order; the
 *  message's own is 0. */
import type { HeaderField } from "./header-block.ts";
import { type MimeEvent, type MimeLimits, MimeStructure, type PartKind } from "./mime-structure.ts";

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface Part {
  readonly number: number;
  readonly kind: PartKind;
}

/** Parts in parts that are remembered. */
const MOST_OPEN = 1000;

export class PartWalk {
  readonly #structure: MimeStructure;
  /** The message itself. */
  readonly own: Part;
  /** Outermost first, with how many boundaries were open in front of each. */
  readonly #open: { readonly part: Part; readonly depth: number }[];
  #depth = 0;
  #parts = 0;
  /** The part whose header this line is the first behind; undefined: it is behind none. */
  begun: Part | undefined;

  constructor(fields: readonly HeaderField[], limits: MimeLimits) {
    this.#structure = new MimeStructure(limits, new Set());
    for (const { name, text } of fields) this.#structure.primaryField(name, text);
    this.own = { number: 0, kind: this.#structure.endPrimary(true) };
    this.#open = [{ part: this.own, depth: 0 }];
  }

  /** The innermost part; between parts, the one that they are parts of. */
  get current(): Part {
    return this.#open.at(-1)?.part ?? this.own;
  }

  /** The parts around the current one, innermost first. */
  *around(): Generator<Part> {
    for (let at = this.#open.length - 2; at >= 0; at--) {
      const open = this.#open[at];
      if (open) yield open.part;
    }
  }

  /** What each chunk has. */
  async *batches(chunks: Chunks): AsyncGenerator<readonly MimeEvent[]> {
    for await (const chunk of chunks) {
      yield this.#structure.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
    yield this.#structure.end();
  }

  /** The events one by one, with `begun` and `current` as they are then. */
  *follow(events: readonly MimeEvent[]): Generator<MimeEvent> {
    for (const event of events) {
      this.begun = undefined;
      if (event.kind === "line" && event.ended) {
        this.begun = { number: ++this.#parts, kind: event.ended };
        if (this.#open.length >= MOST_OPEN) this.#open.pop();
        this.#open.push({ part: this.begun, depth: this.#depth });
      }
      if (event.kind === "line" && event.delimiter) this.#leave(event.depth);
      yield event;
    }
  }

  /** The message itself has no boundary around it. */
  #leave(depth: number): void {
    this.#depth = depth;
    while ((this.#open.at(-1)?.depth ?? 0) >= depth) this.#open.pop();
  }
}
