/** test/crash/disk-image.ts: the files that a power cut leaves: what was synced, and of the rest what a choice says. A write
 *  survives in pieces, since a disk and a page cache know no more; a rename, as one. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Change, DirectoryNode, FileNode, History, Node } from "./disk-history.ts";

export interface PowerCut {
  /** Line of the trace; calls that begin there or later were not made. */
  readonly line: number;
  /** Writes are cut at multiples of this. */
  readonly pieceBytes: number;
  /** Whether a piece of what was not synced is there; asked once for each piece, and once for what is no write. */
  readonly survives: () => boolean;
}

/** Files by what they hold, directories by what is in them. */
export type Tree = ReadonlyMap<string, Uint8Array | Tree>;

export function imageAt({ root, changes }: History, cut: PowerCut): Tree {
  const image = new Image();
  for (const change of changes) {
    if (change.durableFrom < cut.line) image.apply(change);
    else if (change.begin < cut.line) image.applySome(change, cut);
  }
  return image.treeOf(root);
}

class Image {
  readonly #entries = new Map<DirectoryNode, Map<string, Node>>();
  readonly #files = new Map<FileNode, { readonly bytes: Buffer; sizeBytes: number }>();

  apply(change: Change): void {
    if (change.kind === "write") this.#write(change.node, change.offset, change.bytes);
    else if (change.kind === "resize") this.#resize(change.node, change.sizeBytes);
    else if (change.kind === "leave") this.#entriesOf(change.node).delete(change.name);
    else {
      const source = change.kind === "move" ? this.#entriesOf(change.from) : undefined;
      if (change.kind === "move" && source?.get(change.fromName) === change.entry) source.delete(change.fromName);
      this.#entriesOf(change.node).set(change.name, change.entry);
    }
  }

  applySome(change: Change, { pieceBytes, survives }: PowerCut): void {
    if (change.kind !== "write") {
      if (survives()) this.apply(change);
      return;
    }
    const { node, offset, bytes } = change;
    const end = offset + bytes.length;
    // The size alone may have come, and then reads as zeros.
    if (survives()) this.#resize(node, Math.max(this.#fileOf(node).sizeBytes, end));
    for (let at = offset; at < end; ) {
      const next = Math.min(end, (Math.floor(at / pieceBytes) + 1) * pieceBytes);
      if (survives()) this.#write(node, at, bytes.subarray(at - offset, next - offset));
      at = next;
    }
  }

  treeOf(directory: DirectoryNode): Tree {
    const tree = new Map<string, Uint8Array | Tree>();
    for (const [name, node] of this.#entriesOf(directory)) {
      if (node.kind === "directory") tree.set(name, this.treeOf(node));
      else {
        const { bytes, sizeBytes } = this.#fileOf(node);
        tree.set(name, bytes.subarray(0, sizeBytes));
      }
    }
    return tree;
  }

  #write(node: FileNode, offset: number, bytes: Uint8Array): void {
    const file = this.#fileOf(node);
    file.bytes.set(bytes, offset);
    file.sizeBytes = Math.max(file.sizeBytes, offset + bytes.length);
  }

  #resize(node: FileNode, sizeBytes: number): void {
    const file = this.#fileOf(node);
    if (sizeBytes < file.sizeBytes) file.bytes.fill(0, sizeBytes, file.sizeBytes);
    file.sizeBytes = sizeBytes;
  }

  #fileOf(node: FileNode): { readonly bytes: Buffer; sizeBytes: number } {
    let file = this.#files.get(node);
    if (!file) {
      file = { bytes: Buffer.alloc(Math.max(node.largestBytes, node.initial.length)), sizeBytes: node.initial.length };
      file.bytes.set(node.initial);
      this.#files.set(node, file);
    }
    return file;
  }

  #entriesOf(directory: DirectoryNode): Map<string, Node> {
    const known = this.#entries.get(directory) ?? new Map(directory.initial);
    this.#entries.set(directory, known);
    return known;
  }
}

/** Writes a tree into a directory that is there. */
export function writeTree(tree: Tree, directory: string): void {
  for (const [name, entry] of tree) {
    const path = join(directory, name);
    if (entry instanceof Uint8Array) {
      writeFileSync(path, entry, { mode: 0o600 });
    } else {
      mkdirSync(path, { mode: 0o700 });
      writeTree(entry, path);
    }
  }
}

/** A directory's files, and those below it; sockets and what else is no file is left out. */
export function readNode(path: string): DirectoryNode {
  const initial = new Map<string, Node>();
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) initial.set(entry.name, readNode(below));
    if (!entry.isFile()) continue;
    const bytes = readFileSync(below);
    initial.set(entry.name, { kind: "file", initial: bytes, largestBytes: bytes.length });
  }
  return { kind: "directory", initial };
}

/** The tree that was read, unchanged. */
export function treeOf(node: DirectoryNode): Tree {
  return new Image().treeOf(node);
}
