/** queue/sqlite-wal.ts: which pages of a database the committed part of its write-ahead log replaces
 *  (https://www.sqlite.org/fileformat2.html §4). Reads the file once, frame by frame; writes nothing. */
import { fstatSync, readSync } from "node:fs";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The low bit tells the byte order of the check sums: 1 is big-endian. */
const MAGIC = 0x377f0682;

export interface WalIndex {
  /** Page number → where its newest committed bytes begin in the file. */
  readonly pages: ReadonlyMap<number, number>;
  /** Pages of the database after the last commit; 0: nothing is committed in here. */
  readonly databasePages: number;
}

/** `fd`: of the -wal file. */
export function readWal(fd: number, pageBytes: number): WalIndex {
  const none: WalIndex = { pages: new Map(), databasePages: 0 };
  const header = Buffer.alloc(HEADER_BYTES);
  if (readSync(fd, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return none;
  const magic = header.readUInt32BE(0);
  if ((magic & ~1) >>> 0 !== MAGIC || header.readUInt32BE(8) !== pageBytes) return none;
  const sum = new CheckSum((magic & 1) === 1);
  sum.add(header.subarray(0, 24));
  if (!sum.is(header.readUInt32BE(24), header.readUInt32BE(28))) return none;
  return readFrames(fd, { pageBytes, salt: header.subarray(16, 24), sum });
}

interface Log {
  readonly pageBytes: number;
  readonly salt: Buffer;
  readonly sum: CheckSum;
}

function readFrames(fd: number, { pageBytes, salt, sum }: Log): WalIndex {
  const committed = new Map<number, number>();
  const open = new Map<number, number>();
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const frames = Math.floor((fstatSync(fd).size - HEADER_BYTES) / frameBytes);
  const frame = Buffer.alloc(frameBytes);
  let databasePages = 0;
  // Behind the last good frame there may be old ones, from before a restart of the log: no sign of damage.
  for (let number = 0; number < frames; number++) {
    const at = HEADER_BYTES + number * frameBytes;
    if (readSync(fd, frame, 0, frameBytes, at) < frameBytes || !salt.equals(frame.subarray(8, 16))) break;
    sum.add(frame.subarray(0, 8));
    sum.add(frame.subarray(FRAME_HEADER_BYTES));
    if (!sum.is(frame.readUInt32BE(16), frame.readUInt32BE(20))) break;
    open.set(frame.readUInt32BE(0), at + FRAME_HEADER_BYTES);
    if (frame.readUInt32BE(4) === 0) continue;
    databasePages = frame.readUInt32BE(4);
    for (const [page, where] of open) committed.set(page, where);
    open.clear();
  }
  return { pages: committed, databasePages };
}

/** Cumulative over the whole log, so one damaged frame invalidates all behind it. */
class CheckSum {
  readonly #bigEndian: boolean;
  #s0 = 0;
  #s1 = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  add(bytes: Buffer): void {
    let [s0, s1] = [this.#s0, this.#s1];
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const first = this.#bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
      const second = this.#bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
      s0 = (s0 + first + s1) >>> 0;
      s1 = (s1 + second + s0) >>> 0;
    }
    this.#s0 = s0;
    this.#s1 = s1;
  }

  is(s0: number, s1: number): boolean {
    return this.#s0 === s0 && this.#s1 === s1;
  }
}
