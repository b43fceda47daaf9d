/** test/crash/disk-history.ts: what a traced program did to the files below a directory, as changes of which each knows from
 *  when on it outlives a power cut. The rules are those of POSIX at its strictest:
 *    bytes and size of a file    once a sync of the file, begun after the change had returned, has returned
 *    a name in a directory       once a sync of the directory has; a rename, of the directory that it leads to
 *  Needs the traces of CALLS, whole (-s) and with paths (-y). Every file has one writer at a time that does not seek. */
import { basename, dirname, isAbsolute, join } from "node:path";
import type { Call } from "../testbed/strace-lines.ts";

/** The calls that change files, as strace's -e trace= has them. */
export const CALLS = [
  ...["openat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat", "rename", "renameat", "renameat2"],
  ...["write", "writev", "pwrite64", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync"],
];

export interface FileNode {
  readonly kind: "file";
  /** Before the first call; durable. */
  readonly initial: Uint8Array;
  /** The most bytes that it ever had. */
  largestBytes: number;
}

export interface DirectoryNode {
  readonly kind: "directory";
  readonly initial: ReadonlyMap<string, Node>;
}

export type Node = FileNode | DirectoryNode;

export type Effect =
  | { readonly kind: "write"; readonly node: FileNode; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "resize"; readonly node: FileNode; readonly sizeBytes: number }
  | { readonly kind: "enter"; readonly node: DirectoryNode; readonly name: string; readonly entry: Node }
  | { readonly kind: "leave"; readonly node: DirectoryNode; readonly name: string }
  | {
      readonly kind: "move";
      /** Where it leads to. */
      readonly node: DirectoryNode;
      readonly name: string;
      readonly entry: Node;
      readonly from: DirectoryNode;
      readonly fromName: string;
    };

export type Change = Effect & {
  /** Lines of the trace. */
  readonly begin: number;
  readonly end: number;
  /** The line at which a sync returned that covers it; Infinity if none did. */
  readonly durableFrom: number;
};

export interface History {
  readonly root: DirectoryNode;
  readonly changes: readonly Change[];
}

/** `root` is the path of what `before` was read from. Throws for what the rules above do not cover. */
export function historyOf(calls: readonly Call[], root: string, before: DirectoryNode): History {
  const recorder = new Recorder(root, before);
  for (const call of calls) if (call.result >= 0 && call.end !== Number.POSITIVE_INFINITY) recorder.add(call);
  return { root: before, changes: recorder.changes() };
}

interface Sync {
  readonly begin: number;
  readonly end: number;
}

class Recorder {
  readonly #path: string;
  readonly #root: DirectoryNode;
  /** What is in each directory now. */
  readonly #entries = new Map<DirectoryNode, Map<string, Node>>();
  readonly #sizes = new Map<FileNode, number>();
  /** Where the next write() goes; "end" with O_APPEND. */
  readonly #positions = new Map<FileNode, number | "end">();
  readonly #syncs = new Map<Node, Sync[]>();
  readonly #changes: { readonly effect: Effect; readonly begin: number; readonly end: number }[] = [];

  constructor(path: string, root: DirectoryNode) {
    this.#path = path;
    this.#root = root;
  }

  changes(): readonly Change[] {
    return this.#changes.map(({ effect, begin, end }) => {
      const covering = (this.#syncs.get(effect.node) ?? []).filter((sync) => sync.begin > end);
      return { ...effect, begin, end, durableFrom: Math.min(...covering.map((sync) => sync.end)) };
    });
  }

  add(call: Call): void {
    const paths = pathsOf(call);
    if (call.name === "openat") this.#opened(call);
    else if (call.name.startsWith("mkdir")) this.#enter(call, paths[0], { kind: "directory", initial: new Map() });
    else if (call.name.startsWith("link")) this.#enter(call, paths[1], this.#find(paths[0]));
    else if (call.name.startsWith("rename")) this.#moved(call, paths);
    else if (/^(?:rmdir|unlink)/.test(call.name)) this.#left(call, paths[0]);
    else if (/sync$/.test(call.name)) this.#synced(call);
    else this.#written(call);
  }

  #opened(call: Call): void {
    if (!/O_WRONLY|O_RDWR/.test(call.args)) return;
    if (!this.#find(call.path)) {
      this.#enter(call, call.path, { kind: "file", initial: new Uint8Array(), largestBytes: 0 });
    }
    const file = this.#find(call.path);
    if (file?.kind !== "file") return;
    if (/O_TRUNC/.test(call.args) && this.#sizeOf(file) > 0) this.#resize(call, file, 0);
    this.#positions.set(file, /O_APPEND/.test(call.args) ? "end" : 0);
  }

  #written(call: Call): void {
    const file = this.#find(call.path);
    if (file?.kind !== "file") return;
    const last = Number(/, (\d+)$/.exec(call.args)?.[1]);
    if (call.name === "ftruncate") {
      this.#resize(call, file, last);
      return;
    }
    if (call.name === "fallocate") throw new Error(`Not known how to undo: ${call.name}(${call.args.slice(0, 200)})`);
    if (call.bytes.length !== call.result) throw new Error(`Not whole in the trace: a write to ${call.path}`);
    const bytes = Buffer.from(call.bytes, "latin1");
    const isAtPosition = call.name === "write" || call.name === "writev";
    const position = this.#positions.get(file) ?? 0;
    const offset = isAtPosition ? (position === "end" ? this.#sizeOf(file) : position) : last;
    if (isAtPosition && position !== "end") this.#positions.set(file, offset + bytes.length);
    this.#grow(file, offset + bytes.length);
    this.#note(call, { kind: "write", node: file, offset, bytes });
  }

  #resize(call: Call, node: FileNode, sizeBytes: number): void {
    this.#sizes.set(node, sizeBytes);
    node.largestBytes = Math.max(node.largestBytes, sizeBytes);
    this.#note(call, { kind: "resize", node, sizeBytes });
  }

  #enter(call: Call, path = "", entry: Node | undefined): void {
    const node = this.#find(dirname(path));
    if (node?.kind !== "directory" || !entry) return;
    this.#entriesOf(node).set(basename(path), entry);
    this.#note(call, { kind: "enter", node, name: basename(path), entry });
  }

  #left(call: Call, path = ""): void {
    const node = this.#find(dirname(path));
    if (node?.kind !== "directory") return;
    this.#entriesOf(node).delete(basename(path));
    this.#note(call, { kind: "leave", node, name: basename(path) });
  }

  #moved(call: Call, [source = "", target = ""]: readonly string[]): void {
    const from = this.#find(dirname(source));
    const node = this.#find(dirname(target));
    const entry = this.#find(source);
    if (from?.kind !== "directory" || node?.kind !== "directory" || !entry) return;
    this.#entriesOf(from).delete(basename(source));
    this.#entriesOf(node).set(basename(target), entry);
    this.#note(call, { kind: "move", node, name: basename(target), entry, from, fromName: basename(source) });
  }

  #synced(call: Call): void {
    const node = this.#find(call.path);
    if (!node) return;
    const syncs = this.#syncs.get(node) ?? [];
    syncs.push({ begin: call.begin, end: call.end });
    this.#syncs.set(node, syncs);
  }

  #note(call: Call, effect: Effect): void {
    this.#changes.push({ effect, begin: call.begin, end: call.end });
  }

  #grow(file: FileNode, sizeBytes: number): void {
    const size = Math.max(this.#sizeOf(file), sizeBytes);
    this.#sizes.set(file, size);
    file.largestBytes = Math.max(file.largestBytes, size);
  }

  #sizeOf(file: FileNode): number {
    return this.#sizes.get(file) ?? file.initial.length;
  }

  #entriesOf(directory: DirectoryNode): Map<string, Node> {
    const known = this.#entries.get(directory) ?? new Map(directory.initial);
    this.#entries.set(directory, known);
    return known;
  }

  /** undefined: not below the root, or not there. */
  #find(path: string | undefined): Node | undefined {
    if (path === this.#path) return this.#root;
    if (path === undefined || !path.startsWith(`${this.#path}/`)) return undefined;
    let found: Node | undefined = this.#root;
    for (const name of path.slice(this.#path.length + 1).split("/")) {
      found = found?.kind === "directory" ? this.#entriesOf(found).get(name) : undefined;
    }
    return found;
  }
}

/** Absolute paths among the arguments; a name behind a directory's descriptor is below that directory. */
function pathsOf(call: Call): readonly string[] {
  const directories = [...call.args.matchAll(/(?:^|, )(?:\d+|AT_FDCWD)<([^>]*)>, "/g)].map(([, path = ""]) => path);
  return call.strings.map((path, i) => (isAbsolute(path) ? path : join(directories[i] ?? "/", path)));
}
