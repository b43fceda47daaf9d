/** log/find-lines.ts: the lines of a log, and of what has been rotated away, that hold a word. Reads a file in pieces, once, and
 *  makes text of the lines that are found only: gigabytes take seconds. Writes nothing. */
import { createReadStream, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createGunzip } from "node:zlib";

const LF = 10;
const PIECE = 1 << 20;
/** A line that is longer is cut into several. */
const MAX_LINE = 1 << 20;

export interface LogPart {
  readonly path: string;
  /** Of its last line, at most. */
  readonly changedMs: number;
  readonly compressed: "gzip" | "otherwise" | undefined;
}

export interface FoundLine {
  readonly text: string;
  /** Of the line, in the file as it is uncompressed. */
  readonly offset: number;
}

/** The log and what it was rotated to (`maillog.1`, `maillog.20261124-0600.gz`), oldest first. Empty if there is none. */
export function partsOfLog(path: string): readonly LogPart[] {
  const name = basename(path);
  const parts: LogPart[] = [];
  for (const entry of readEntries(dirname(path))) {
    if (entry !== name && !(entry.startsWith(name) && /^[.-]/.test(entry.slice(name.length)))) continue;
    const stat = statSync(join(dirname(path), entry), { throwIfNoEntry: false });
    if (!stat?.isFile()) continue;
    const compressed = entry.endsWith(".gz") ? "gzip" : /\.(?:bz2|xz|zst|lz4|Z)$/.test(entry) ? "otherwise" : undefined;
    parts.push({ path: join(dirname(path), entry), changedMs: stat.mtimeMs, compressed });
  }
  return parts.sort((a, b) => a.changedMs - b.changedMs || Number(a.path === path) - Number(b.path === path));
}

function readEntries(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** `from`: bytes to leave out, of a file that is not compressed. Rejects what the file system says. */
export async function* linesWith(word: string, part: LogPart, from = 0): AsyncGenerator<FoundLine> {
  const start = part.compressed ? 0 : from;
  const file = createReadStream(part.path, { highWaterMark: PIECE, start });
  const bytes = part.compressed === "gzip" ? file.pipe(createGunzip({ chunkSize: PIECE })) : file;
  if (bytes !== file) file.on("error", (error) => bytes.destroy(error));
  let rest: Buffer = Buffer.alloc(0);
  let offset = start;
  try {
    for await (const chunk of bytes) {
      const piece: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = piece.length > MAX_LINE * 2 ? piece.length : piece.lastIndexOf(LF) + 1;
      yield* foundIn(piece.subarray(0, end), word, offset);
      offset += end;
      rest = Buffer.from(piece.subarray(end));
    }
  } finally {
    file.destroy();
  }
  yield* foundIn(rest, word, offset);
}

function* foundIn(piece: Buffer, word: string, offset: number): Generator<FoundLine> {
  for (let at = piece.indexOf(word); at >= 0; ) {
    const start = at === 0 ? 0 : piece.lastIndexOf(LF, at - 1) + 1;
    const lineEnd = piece.indexOf(LF, at);
    const end = lineEnd < 0 ? piece.length : lineEnd;
    yield { text: piece.toString("utf8", start, end), offset: offset + start };
    at = end >= piece.length ? -1 : piece.indexOf(word, end + 1);
  }
}
