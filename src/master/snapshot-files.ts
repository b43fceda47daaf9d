/** master/snapshot-files.ts: the file images of a snapshot as the rooms read them. The master replaces single images
 *  (user file, certificates) between reloads; whoever holds derived state subscribes. */
import type { FileImage } from "../config/snapshot.ts";
import { type FileSource, TableError } from "../tables/table.ts";

export class SnapshotFiles implements FileSource {
  readonly #images: Map<string, FileImage>;
  readonly #subscribers: ((changed: ReadonlySet<string>) => void)[] = [];

  constructor(images: ReadonlyMap<string, FileImage>) {
    this.#images = new Map(images);
  }

  /** Throws TableError with the master's reason, or when the master was never asked for the file. */
  read(path: string): Uint8Array {
    const image = this.#images.get(path);
    if (!image) throw new TableError(`open ${path}: No such file or directory`);
    if ("error" in image) throw new TableError(`open ${path}: ${image.error}`);
    return image.bytes;
  }

  modifiedMs(path: string): number | undefined {
    const image = this.#images.get(path);
    return image && "bytes" in image ? image.mtimeMs : undefined;
  }

  image(path: string): FileImage | undefined {
    return this.#images.get(path);
  }

  paths(): Iterable<string> {
    return this.#images.keys();
  }

  onChange(run: (changed: ReadonlySet<string>) => void): void {
    this.#subscribers.push(run);
  }

  replace(images: readonly FileImage[]): void {
    for (const image of images) this.#images.set(image.path, image);
    const changed = new Set(images.map((image) => image.path));
    for (const run of this.#subscribers) run(changed);
  }
}
