/** proxy/delayed-mail.ts: smtpd_proxy_options = speed_adjust: the client is told yes to everything, the content goes to a
 *  temporary file that has no name, and when it is whole, all is passed on to the filter at its own speed. The first answer
 *  that refuses is the client's. */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { printableAscii } from "../mail/printable.ts";
import { reply } from "../mail/reply.ts";
import { type ConversationOptions, NO_ANSWER, openConversation } from "./conversation.ts";
import type { FilterAnswer, FilteredMail, FilteredStart } from "./filter.ts";

const YES: FilterAnswer = { accepted: true, reply: reply(250, undefined, "Ok") };
const NO: FilterAnswer = { accepted: false, reply: NO_ANSWER };
const CHUNK_BYTES = 64 * 1024;

export interface DelayedOptions extends ConversationOptions {
  /** Where temporary files may be made. */
  readonly directory: string;
}

export class DelayedMail implements FilteredMail {
  readonly #start: FilteredStart;
  readonly #options: DelayedOptions;
  readonly #recipients: string[] = [];
  #file: FileHandle | undefined;
  /** Writes in order; the file handle takes one at a time. */
  #written: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(start: FilteredStart, options: DelayedOptions) {
    this.#start = start;
    this.#options = options;
  }

  async recipient(command: string): Promise<FilterAnswer> {
    this.#recipients.push(command);
    return YES;
  }

  async begin(): Promise<FilterAnswer> {
    try {
      this.#file = await openUnnamed(this.#options.directory);
      return YES;
    } catch (error) {
      this.#warn("open", error);
      return NO;
    }
  }

  write(chunk: Uint8Array): Promise<void> {
    const copy = Buffer.from(chunk);
    this.#written = this.#written.then(async () => {
      if (this.#failed || !this.#file) return;
      try {
        for (let at = 0; at < copy.length; ) at += (await this.#file.write(copy, at)).bytesWritten;
      } catch (error) {
        this.#failed = true;
        this.#warn("write", error);
      }
    });
    return this.#written;
  }

  async end(): Promise<FilterAnswer> {
    await this.#written;
    const file = this.#file;
    if (this.#failed || !file) return NO;
    const opened = await openConversation(this.#start, this.#options);
    if ("refused" in opened) return { accepted: false, reply: opened.refused };
    try {
      return await this.#passOn(opened.mail, file);
    } catch (error) {
      this.#warn("read", error);
      return NO;
    } finally {
      opened.mail.close();
    }
  }

  close(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file) void this.#written.then(() => file.close()).catch(() => undefined);
  }

  async #passOn(mail: FilteredMail, file: FileHandle): Promise<FilterAnswer> {
    for (const command of this.#recipients) {
      const answer = await mail.recipient(command);
      if (!answer.accepted) return answer;
    }
    const begun = await mail.begin();
    if (!begun.accepted) return begun;
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (let at = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at);
      if (bytesRead === 0) return mail.end();
      const slow = mail.write(buffer.subarray(0, bytesRead));
      if (slow) await slow;
      at += bytesRead;
    }
  }

  #warn(what: string, error: unknown): void {
    this.#start.log.warning(`${what} before-queue content file: ${printableAscii((error as Error).message)}`);
  }
}

/** A file that is gone when it is closed, whatever becomes of the process. */
async function openUnnamed(directory: string): Promise<FileHandle> {
  const path = join(directory, `proxy-${randomBytes(8).toString("hex")}`);
  const file = await open(path, "wx+", 0o600);
  await unlink(path);
  return file;
}
