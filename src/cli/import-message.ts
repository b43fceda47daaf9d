/** cli/import-message.ts: one message of a Postfix queue into a shard of ours: content as CRLF lines, header apart from body. */

import { UnixLines } from "../base/unix-lines.ts";
import { HeaderScanner } from "../cleanup/header-block.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { RETRY_LANE } from "../qmgr/lane-map.ts";
import type { BodyWriter, QueueStore } from "../queue/store.ts";
import type { PostcatMessage } from "./postcat-envelope.ts";
import { type PostcatOptions, type PostfixFile, readPostfixContent } from "./postfix-queue.ts";

/** As postern_header_block_limit's default. */
const MAX_HEADER_BYTES = 1024 * 1024;

/** Commits it. A text: why not, and nothing was committed. Rejects QueueError, and if postcat cannot be started. */
export async function importMessage(
  {
    file,
    message,
    queueId,
  }: { readonly file: PostfixFile; readonly message: PostcatMessage; readonly queueId: QueueId },
  store: Pick<QueueStore, "beginBody" | "append">,
  options: PostcatOptions,
): Promise<string | undefined> {
  const content = new SplitContent(store.beginBody(queueId));
  const { stdout, ended } = readPostfixContent(file.path, options);
  // Together: a postcat that cannot be started must not reject while nobody waits for its end.
  const [end] = await Promise.all([ended, content.writeAll(stdout)]);
  const failed = end ?? (await content.finish());
  if (failed !== undefined) {
    await content.body.abort();
    return failed;
  }
  const { envelope, recipients } = message;
  // Where it goes is found out when it is due, which it is.
  const rows = recipients.map((recipient) => ({ ...recipient, lane: RETRY_LANE, dueMs: envelope.arrivalMs }));
  const body = await content.body.finish();
  await store.append(
    { envelope: { ...envelope, queueId }, header: content.header, body, recipients: rows, hold: file.queue === "hold" },
    { claim: false },
  );
  return undefined;
}

class SplitContent {
  readonly body: BodyWriter;
  readonly #lines = new UnixLines();
  #scanner: HeaderScanner | undefined = new HeaderScanner();
  #gathered = Buffer.alloc(0);
  header = Buffer.alloc(0);

  constructor(body: BodyWriter) {
    this.body = body;
  }

  async writeAll(chunks: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of chunks) await this.#take(this.#lines.push(chunk));
  }

  /** What is wrong with it. */
  async finish(): Promise<string | undefined> {
    await this.#take(this.#lines.end());
    if (this.#scanner && this.#gathered.length > MAX_HEADER_BYTES) return "the header is too long";
    if (this.#scanner) this.header = Buffer.concat([this.#gathered, Buffer.from("\r\n")]);
    return undefined;
  }

  async #take(pieces: readonly Buffer[]): Promise<void> {
    if (!this.#scanner) {
      for (const piece of pieces) await this.body.write(piece);
      return;
    }
    if (this.#gathered.length > MAX_HEADER_BYTES) return; // finish() will say so
    this.#gathered = Buffer.concat([this.#gathered, ...pieces]);
    const end = this.#scanner.scan(this.#gathered);
    if (end.kind === "more") return;
    this.#scanner = undefined;
    this.header = Buffer.concat([this.#gathered.subarray(0, end.headerEnd), Buffer.from("\r\n")]);
    const rest = this.#gathered.subarray(end.bodyStart);
    if (rest.length > 0) await this.body.write(rest);
  }
}
