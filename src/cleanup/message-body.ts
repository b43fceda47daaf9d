/** cleanup/message-body.ts: the body of one message: on its way to the store, then stored. Who repairs it or puts another one in its
 *  place leaves here who wrote that one, and what is known of it. */
import type { BodyWriter, StoredBody } from "../queue/store.ts";
import type { BodyReading } from "./body-reading.ts";
import type { BodyInHand } from "./milter-body.ts";

export class MessageBody implements BodyInHand {
  writer: BodyWriter;
  reading: BodyReading;
  #stored: StoredBody | undefined;

  constructor(writer: BodyWriter, reading: BodyReading) {
    this.writer = writer;
    this.reading = reading;
  }

  /** A promise means back-pressure. Throws or rejects QueueError. */
  write(chunk: Uint8Array): void | Promise<void> {
    this.reading.update(chunk);
    return this.writer.write(chunk);
  }

  /** All of it has come. A promise only if it is not known at once. Throws or rejects QueueError. */
  finish(): void | Promise<void> {
    const finished = this.writer.finish();
    if (!(finished instanceof Promise)) this.#stored = finished;
    else
      return finished.then((stored) => {
        this.#stored = stored;
      });
    return undefined;
  }

  /** Asked once it is. */
  get stored(): StoredBody {
    if (this.#stored === undefined) throw new Error("A body that has not ended is not stored");
    return this.#stored;
  }

  set stored(stored: StoredBody) {
    this.#stored = stored;
  }

  /** Also after finish(), for a message that is not appended. */
  abort(): Promise<void> {
    return this.writer.abort();
  }
}
