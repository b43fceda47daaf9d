/** cleanup/milter-body.ts: the body of a message before the Milters: read as often as there are Milters, replaced by what one sends.
 *  A new body counts when its Milter is done; before, the old one stands. */
import { UnixLines } from "../base/unix-lines.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { MilterBody } from "../milter/filter.ts";
import type { BodyWriter, QueueStore, StoredBody } from "../queue/store.ts";
import type { BodyReading } from "./body-reading.ts";

/** The body as it stands, who wrote it, and what is known of it. */
export interface BodyInHand {
  writer: BodyWriter;
  stored: StoredBody;
  reading: BodyReading;
}

export interface MilterBodyDeps {
  readonly store: Pick<QueueStore, "beginBody" | "readBody">;
  readonly envelope: Pick<Envelope, "queueId">;
  /** Most bytes of a new body; 0: no limit. */
  readonly bodyLimit: number;
}

/** A new body under way. */
interface Next {
  readonly writer: BodyWriter;
  readonly reading: BodyReading;
  /** Milters send lines that end in CRLF, or in LF. */
  readonly lines: UnixLines;
}

export class MilterBodyFile implements MilterBody {
  readonly #deps: MilterBodyDeps;
  readonly #inHand: BodyInHand;
  readonly #readAnew: () => BodyReading;
  #next: Next | undefined;
  /** A new body was longer than allowed. */
  tooBig = false;

  /** `readAnew`: begins what is asked of a body, for another one. */
  constructor(inHand: BodyInHand, readAnew: () => BodyReading, deps: MilterBodyDeps) {
    this.#deps = deps;
    this.#readAnew = readAnew;
    this.#inHand = inHand;
  }

  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    return this.#deps.store.readBody(this.#inHand.stored);
  }

  async replace(chunk: Uint8Array): Promise<void> {
    this.#next ??= this.#begin();
    // A copy: the packet is a part of a larger buffer, which a small body would keep.
    await this.#write(this.#next, this.#next.lines.push(Buffer.from(chunk)));
  }

  async settled(): Promise<void> {
    const next = this.#next;
    if (next === undefined) return;
    await this.#write(next, next.lines.end());
    this.#next = undefined;
    const { writer: before } = this.#inHand;
    Object.assign(this.#inHand, { writer: next.writer, reading: next.reading });
    await before.abort();
    this.#inHand.stored = await next.writer.finish();
  }

  async dropNew(): Promise<void> {
    const next = this.#next;
    this.#next = undefined;
    await next?.writer.abort();
  }

  #begin(): Next {
    const { store, envelope } = this.#deps;
    return { writer: store.beginBody(envelope.queueId), reading: this.#readAnew(), lines: new UnixLines() };
  }

  async #write({ writer, reading }: Next, pieces: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat(pieces);
    const { bodyLimit } = this.#deps;
    if (bodyLimit > 0 && writer.sizeBytes + bytes.length > bodyLimit) this.tooBig = true;
    if (this.tooBig || bytes.length === 0) return;
    reading.update(bytes);
    const wait = writer.write(bytes);
    if (wait) await wait;
  }
}
