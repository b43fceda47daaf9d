/** cleanup/converted-message.ts: a message that is made 7-bit before anybody looks at it (force_mime_input_conversion): what is
 *  signed then is what every next hop can take. */
import type { CleanupResult, IncomingMessage } from "./cleanup.ts";
import { HeaderIntake } from "./header-block.ts";
import { PartConverter, type Reencoding } from "./reencode.ts";

export class ConvertedMessage implements IncomingMessage {
  readonly #inner: IncomingMessage;
  readonly #converter: PartConverter;
  /** Until the header section has ended. */
  #intake: HeaderIntake | undefined = new HeaderIntake();
  readonly #headerLimit: number;
  #over = false;
  sizeBytes = 0;

  /** `headerLimit`: a header above it is passed on as it is, for the message to be refused. */
  constructor(inner: IncomingMessage, how: Reencoding, headerLimit: number) {
    this.#inner = inner;
    this.#converter = new PartConverter(how);
    this.#headerLimit = headerLimit;
  }

  get refused(): boolean {
    return this.#inner.refused;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    this.sizeBytes += chunk.length;
    if (this.refused) return this.#inner.write(chunk);
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (!this.#intake) return this.#pass([this.#converter.body(bytes)]);
    const got = this.#intake.push(bytes);
    if (got.kind === "end") {
      this.#intake = undefined;
      return this.#pass([this.#converter.header(got.header, got.blank), this.#converter.body(got.rest)]);
    }
    return got.sizeBytes > this.#headerLimit ? this.#inner.write(this.#intake.end()) : undefined;
  }

  async finish(extra: { readonly hold: boolean; readonly discard: boolean }): Promise<CleanupResult> {
    const wait = this.#flush();
    if (wait) await wait;
    return this.#inner.finish(extra);
  }

  endOfData(): void | Promise<void> {
    const wait = this.#flush();
    return wait ? wait.then(() => this.#inner.endOfData?.()) : this.#inner.endOfData?.();
  }

  abort(): Promise<void> {
    this.#over = true;
    return this.#inner.abort();
  }

  /** What was held back, once. */
  #flush(): void | Promise<void> {
    if (this.#over || this.refused) return undefined;
    this.#over = true;
    const head = this.#intake ? this.#converter.header(this.#intake.end(), false) : undefined;
    this.#intake = undefined;
    return this.#pass(head ? [head, this.#converter.end()] : [this.#converter.end()]);
  }

  #pass(pieces: readonly Buffer[]): void | Promise<void> {
    const bytes = Buffer.concat(pieces);
    return bytes.length === 0 ? undefined : this.#inner.write(bytes);
  }
}
