/** master/tls-readers.ts: keys and certificates from the snapshot's file images, by their names in the configuration. Names
 *  without a slash in front are looked for in queue_directory, as Postfix does, and then in the configuration directory. */
import { tlsFileCandidates } from "../config/file-references.ts";
import type { Parameters } from "../config/parameters.ts";
import type { FileImage } from "../config/snapshot.ts";
import type { FileBytes, FileReaders } from "../net/tls-files.ts";

export interface TlsImages {
  readonly params: Parameters;
  readonly configDirectory: string;
  readonly image: (path: string) => FileImage | undefined;
  /** Paths of all images. */
  readonly paths: () => Iterable<string>;
}

export function tlsReaders(images: TlsImages): FileReaders {
  return { read: (path) => readImage(images, path), readDirectory: (path) => readDirectory(images, path) };
}

function readImage(input: TlsImages, path: string): FileBytes {
  const candidates = tlsFileCandidates(input.params, path, input.configDirectory);
  for (const candidate of candidates) {
    const image = input.image(candidate);
    if (image) return "error" in image ? { error: `${candidate}: ${image.error}` } : image;
  }
  return { error: `${candidates[0] ?? path}: No such file or directory` };
}

/** The master has read the files of the directory; where it could not, there is an image that says why. */
function readDirectory(input: TlsImages, path: string): readonly FileBytes[] | { readonly error: string } {
  for (const candidate of tlsFileCandidates(input.params, path, input.configDirectory)) {
    const image = input.image(candidate);
    if (image && "error" in image) return { error: `${candidate}: ${image.error}` };
    const inside = [...input.paths()].filter((file) => parentOf(file) === candidate);
    if (inside.length === 0) continue;
    return inside.map((file) => input.image(file) ?? { error: "No such file or directory" });
  }
  return [];
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
