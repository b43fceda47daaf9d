/** master/file-watch.ts: notices that a file of the running configuration was replaced (user file, certificates, text
 *  tables) and hands its new bytes to the workers: no restart to change a password. Looks at modification times, because
 *  inotify does not see through bind mounts and network file systems. */
import { readFileSync, statSync } from "node:fs";
import type { Clock, Timer } from "../base/clock.ts";
import { fileErrorText } from "../config/file-error.ts";
import type { FileImage } from "../config/snapshot.ts";

const INTERVAL_MS = 1000;

export class FileWatch {
  readonly #clock: Clock;
  readonly #changed: (files: readonly FileImage[]) => Promise<void>;
  readonly #failed: (error: Error) => void;
  #stamps = new Map<string, string>();
  #timer: Timer | undefined;

  /** `changed` gets what is new; `failed` hears why somebody could not take it. */
  constructor(clock: Clock, changed: (files: readonly FileImage[]) => Promise<void>, failed: (error: Error) => void) {
    this.#clock = clock;
    this.#changed = changed;
    this.#failed = failed;
  }

  /** Watches these files from now on. One that has changed since it was read is told at the first look. */
  start(files: ReadonlyMap<string, FileImage>): void {
    this.stop();
    this.#stamps = new Map([...files.values()].map((image) => [image.path, stampOfRead(image)]));
    this.#timer = this.#clock.after(INTERVAL_MS, () => this.#look());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    const timer = this.#timer;
    const images: FileImage[] = [];
    for (const [path, old] of this.#stamps) {
      const now = stamp(path);
      if (now === old) continue;
      this.#stamps.set(path, now);
      images.push(read(path));
    }
    try {
      if (images.length > 0) await this.#changed(images);
    } catch (error) {
      this.#failed(error as Error);
    }
    // Else another look has been begun meanwhile, or none shall follow.
    if (timer && this.#timer === timer) this.#timer = this.#clock.after(INTERVAL_MS, () => this.#look());
  }
}

/** Never throws: what cannot be looked at may be there again with the next look. */
function stamp(path: string): string {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat ? `${stat.ino}:${stat.mtimeMs}:${stat.size}` : "";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  }
}

/** The stamp if the file is still as it was read, else one that no file has. */
function stampOfRead(image: FileImage): string {
  const now = stamp(image.path);
  if ("error" in image) return now;
  return now.endsWith(`:${image.mtimeMs}:${image.bytes.length}`) ? now : "replaced";
}

function read(path: string): FileImage {
  try {
    const { mtimeMs } = statSync(path);
    return { path, bytes: readFileSync(path), mtimeMs };
  } catch (error) {
    return { path, error: fileErrorText(error) };
  }
}
