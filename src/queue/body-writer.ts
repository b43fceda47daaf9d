/** queue/body-writer.ts: a body on its way into the store: kept in memory while it is small, streamed to a file from the
 *  moment it passes the limit, so memory per session is constant. File and directory are synced before finish() resolves. */
import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Awaitable } from "../base/awaitable.ts";
import { DirectorySync } from "../base/durable.ts";
import { BufferMeter } from "../base/garbage.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { asQueueError } from "./faults.ts";
import type { BodyWriter, QueueError, StoredBody } from "./store.ts";

/** What is needed of an open content file; node's FileHandle fits. */
export interface ContentHandle {
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** File operations of the writer; tests fail them. */
export interface ContentFs {
  open(path: string, flags: string, mode: number): Promise<ContentHandle>;
  unlink(path: string): Promise<void>;
}

/** The content directory of one shard. */
export class ContentDirectory {
  readonly path: string;
  readonly fs: ContentFs;
  readonly #directorySync: DirectorySync;
  #serial = 0;

  constructor(path: string, fs: ContentFs = { open, unlink }) {
    this.path = path;
    this.fs = fs;
    this.#directorySync = new DirectorySync(path);
  }

  /** A name not used before in this life; O_EXCL guards against one of an earlier life. */
  nextName(queueId: QueueId): string {
    return `${queueId}.${++this.#serial}`;
  }

  sync(): Promise<void> {
    return this.#directorySync.sync();
  }
}

export class SpillingBody implements BodyWriter {
  readonly #directory: ContentDirectory;
  readonly #queueId: QueueId;
  readonly #inlineLimit: number;
  #sizeBytes = 0;
  /** Chunks in memory; the small body, or what waits for the file. */
  #chunks: Uint8Array[] = [];
  #file: { readonly name: string; readonly handle: ContentHandle } | undefined;
  #spilling = false;
  readonly #meter = new BufferMeter();
  #tail: Promise<void> | undefined;
  #error: QueueError | undefined;
  #closed = false;

  constructor(directory: ContentDirectory, options: { readonly queueId: QueueId; readonly inlineLimit: number }) {
    this.#directory = directory;
    this.#queueId = options.queueId;
    this.#inlineLimit = options.inlineLimit;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** A failure is kept and thrown by finish(), so that the client's bytes can be read to their end. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#closed || this.#error) return;
    this.#sizeBytes += chunk.length;
    this.#chunks.push(chunk);
    if (!this.#spilling && this.#sizeBytes <= this.#inlineLimit) return;
    this.#spilling = true;
    this.#tail = this.#tail?.then(() => this.#drain()) ?? this.#drain();
    return this.#tail;
  }

  finish(): Awaitable<StoredBody> {
    return this.#spilling ? this.#finishFile() : { kind: "inline", bytes: this.#joined() };
  }

  async #finishFile(): Promise<StoredBody> {
    await this.#tail;
    if (this.#file && !this.#error) await this.#attempt(() => this.#seal());
    if (this.#error) {
      await this.abort();
      throw this.#error;
    }
    return { kind: "file", name: this.#file?.name ?? "", sizeBytes: this.#sizeBytes };
  }

  async abort(): Promise<void> {
    await this.#tail;
    this.#chunks = [];
    const file = this.#file;
    this.#file = undefined;
    if (!file) return;
    await this.#close(file.handle);
    // A file that cannot be removed now is removed by recovery: no row names it.
    await this.#attempt(() => this.#directory.fs.unlink(join(this.#directory.path, file.name)));
  }

  /** Exact size and a buffer of its own, so that it can be kept while the message is being delivered. */
  #joined(): Uint8Array {
    const bytes = new Uint8Array(this.#sizeBytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks = [];
    this.#closed = true;
    return bytes;
  }

  async #drain(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = [];
    if (this.#error) return;
    await this.#attempt(async () => {
      this.#file ??= await this.#create();
      for (const chunk of chunks) {
        await writeAll(this.#file.handle, chunk);
        this.#meter.count(chunk.length);
      }
    });
  }

  async #create(): Promise<{ readonly name: string; readonly handle: ContentHandle }> {
    const name = this.#directory.nextName(this.#queueId);
    return { name, handle: await this.#directory.fs.open(join(this.#directory.path, name), "wx", 0o600) };
  }

  async #seal(): Promise<void> {
    const handle = this.#file?.handle;
    if (!handle) return;
    await handle.datasync();
    await this.#close(handle);
    await this.#directory.sync();
  }

  async #close(handle: ContentHandle): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#attempt(() => handle.close());
  }

  async #attempt(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#error ??= asQueueError(`Cannot store the body of ${this.#queueId}`, error);
    }
  }
}

async function writeAll(handle: ContentHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, offset, bytes.length - offset);
    offset += bytesWritten;
  }
}
