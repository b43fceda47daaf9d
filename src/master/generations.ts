/** master/generations.ts: the configurations that a worker has at one time: the one that new sessions get, the one that a reload has loaded and
 *  not yet committed, and those before, until the last session that began with them has ended. */
import type { FileImage } from "../config/snapshot.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { Smtpd } from "../smtpd/options.ts";
import type { Generation } from "./generation.ts";

export class Generations {
  readonly #failed: (text: string) => void;
  #current: Generation | undefined;
  #next: Generation | undefined;
  /** Resolves when the generation is closed. */
  readonly #retiring = new Map<Generation, Promise<void>>();

  /** `failed` hears of what cannot be closed. */
  constructor(failed: (text: string) => void) {
    this.#failed = failed;
  }

  /** Of new sessions; undefined before the first commit(). */
  get current(): Generation | undefined {
    return this.#current;
  }

  /** SMTP services with all their sessions, those of old configurations too. */
  get services(): readonly Smtpd[] {
    return this.#all.flatMap(({ smtp }) => smtp.all);
  }

  /** For the next commit(); one that was loaded before and never committed is given up. */
  load(next: Generation): void {
    this.discard();
    this.#next = next;
  }

  /** The loaded one counts from now on. Throws if another was loaded, or none. */
  commit(generation: number): Generation {
    const next = this.#next;
    if (next?.snapshot.generation !== generation) throw new Error(`Generation ${generation} was not loaded`);
    const old = this.#current;
    this.#current = next;
    this.#next = undefined;
    if (old) this.#retiring.set(old, this.#retire(old));
    return next;
  }

  discard(): void {
    const next = this.#next;
    this.#next = undefined;
    if (next) void this.#close(next);
  }

  /** A user who was deleted cannot log in any more, whenever the session began. */
  replaceFiles(files: readonly FileImage[]): void {
    for (const { files: images } of this.#all) images.replace(files);
  }

  /** Resolves when all are closed. Their sessions must be ended by the caller. */
  async close(): Promise<void> {
    this.discard();
    await Promise.all([this.#current && this.#close(this.#current), ...this.#retiring.values()]);
  }

  get #all(): readonly Generation[] {
    return this.#current ? [this.#current, ...this.#retiring.keys()] : [];
  }

  async #retire(old: Generation): Promise<void> {
    await Promise.all(old.smtp.all.map((smtpd) => smtpd.idle()));
    await this.#close(old);
    this.#retiring.delete(old);
  }

  /** Never rejects: mail goes on. */
  async #close(generation: Generation): Promise<void> {
    try {
      await generation.close();
    } catch (error) {
      this.#failed(printableUtf8(`cannot close a configuration: ${String(error)}`));
    }
  }
}
