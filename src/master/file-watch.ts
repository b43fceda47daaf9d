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
  #stamps = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(clock: Clock, changed: (files: readonly FileImage[]) => Promise<void>) {
    this.#clock = clock;
    this.#changed = changed;
  }

  /** Watches these files from now on. */
  start(files: ReadonlyMap<string, FileImage>): void {
    this.stop();
    this.#stamps = new Map([...files.keys()].map((path) => [path, stamp(path)]));
    this.#timer = this.#clock.after(INTERVAL_MS, () => this.#look());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(): void {
    const images: FileImage[] = [];
    for (const [path, old] of this.#stamps) {
      const now = stamp(path);
      if (now === old) continue;
      this.#stamps.set(path, now);
      images.push(read(path));
    }
    const told = images.length > 0 ? this.#changed(images) : Promise.resolve();
    // A worker that is being restarted gets the new image with its snapshot at the next change or reload.
    void told
      .catch(() => undefined)
      .then(() => {
        if (this.#timer) this.#timer = this.#clock.after(INTERVAL_MS, () => this.#look());
      });
  }
}

function stamp(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat ? `${stat.ino}:${stat.mtimeMs}:${stat.size}` : "";
}

function read(path: string): FileImage {
  try {
    return { path, bytes: readFileSync(path), mtimeMs: statSync(path).mtimeMs };
  } catch (error) {
    return { path, error: fileErrorText(error) };
  }
}
