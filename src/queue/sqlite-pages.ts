/** queue/sqlite-pages.ts: every record of every page in use of an SQLite database that SQLite refuses to read
 *  (https://www.sqlite.org/fileformat2.html §1). Goes through the pages one by one, not down the trees, so a damaged page
 *  costs what was in it and nothing else. Only for databases that nobody writes; writes nothing itself. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parseRecord, readVarint, type SqlValue } from "./sqlite-record.ts";
import { readWal, type WalIndex } from "./sqlite-wal.ts";

const TABLE_LEAF = 0x0d;
const INDEX_LEAF = 0x0a;
const INDEX_INTERIOR = 0x02;
/** More than any row of a queue has. */
const MAX_PAYLOAD_BYTES = 256 << 20;

export interface FoundRecord {
  /** Of a table with rowids; undefined: the record is of an index, or of a table WITHOUT ROWID. */
  readonly rowid: bigint | undefined;
  readonly values: readonly SqlValue[];
}

export class PageFile {
  readonly #fd: number;
  readonly #walFd: number | undefined;
  readonly #pageBytes: number;
  readonly #wal: WalIndex | undefined;
  readonly pages: number;
  /** Pages whose rows have left the database. undefined: the list of them cannot be read, so nobody can tell. */
  readonly free: ReadonlySet<number> | undefined;
  /** Pages of which nothing, or not all, could be read. */
  readonly damaged = new Set<number>();

  /** `path`: of the database; its log lies beside it. Throws the file system's errors. */
  constructor(path: string, pageBytes: number) {
    this.#fd = openSync(path, "r");
    this.#pageBytes = pageBytes;
    this.#walFd = openIfThere(`${path}-wal`);
    this.#wal = this.#walFd === undefined ? undefined : readWal(this.#walFd, pageBytes);
    const inFile = Math.ceil(fstatSync(this.#fd).size / pageBytes);
    this.pages = Math.max(inFile, this.#wal?.databasePages ?? 0);
    this.free = this.#readFree();
  }

  /** Whether there is a log beside the database with something committed in it. */
  get hasLog(): boolean {
    return (this.#wal?.databasePages ?? 0) > 0;
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#walFd !== undefined) closeSync(this.#walFd);
  }

  /** All records but those of the schema, in order of their pages; of free pages too where those are not known. */
  *records(): Generator<FoundRecord> {
    for (let number = 2; number <= this.pages; number++) {
      if (this.free?.has(number)) continue;
      const page = this.#page(number);
      if (page) yield* this.#recordsOf(number, page);
      else this.damaged.add(number);
    }
  }

  /** undefined: beyond the end of the file, or a part of a page. */
  #page(number: number): Buffer | undefined {
    const page = Buffer.alloc(this.#pageBytes);
    const inLog = this.#wal?.pages.get(number);
    const [fd, at] = inLog === undefined ? [this.#fd, (number - 1) * this.#pageBytes] : [this.#walFd as number, inLog];
    try {
      return readSync(fd, page, 0, page.length, at) === page.length ? page : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EIO") return undefined; // a bad block costs its page
      throw error;
    }
  }

  *#recordsOf(number: number, page: Buffer): Generator<FoundRecord> {
    const type = page[0];
    const isTable = type === TABLE_LEAF;
    if (!isTable && type !== INDEX_LEAF && type !== INDEX_INTERIOR) {
      if (!isOther(page)) this.damaged.add(number);
      return;
    }
    const interior = type === INDEX_INTERIOR;
    const pointers = interior ? 12 : 8;
    const cells = page.readUInt16BE(3);
    if (pointers + 2 * cells > page.length) {
      this.damaged.add(number);
      return;
    }
    for (let i = 0; i < cells; i++) {
      const at = page.readUInt16BE(pointers + 2 * i) + (interior ? 4 : 0);
      const record = this.#cell(page, at, isTable);
      if (record) yield record;
      else this.damaged.add(number);
    }
  }

  #cell(page: Buffer, at: number, isTable: boolean): FoundRecord | undefined {
    const size = readVarint(page, at);
    const rowid = size && isTable ? readVarint(page, size.end) : undefined;
    if (!size || (isTable && !rowid) || size.value > BigInt(MAX_PAYLOAD_BYTES)) return undefined;
    const payload = this.#payload(page, { at: rowid?.end ?? size.end, sizeBytes: Number(size.value), isTable });
    const values = payload && parseRecord(payload);
    return values && { rowid: rowid?.value, values };
  }

  /** What does not fit the page goes on in a chain of others (§1.6). */
  #payload(page: Buffer, cell: { readonly at: number; readonly sizeBytes: number; readonly isTable: boolean }) {
    const { at, sizeBytes, isTable } = cell;
    const local = localBytes(this.#pageBytes, sizeBytes, isTable);
    const last = at + local + (local < sizeBytes ? 4 : 0);
    if (last > page.length) return undefined;
    if (local === sizeBytes) return page.subarray(at, last);
    const payload = Buffer.alloc(sizeBytes);
    page.copy(payload, 0, at, at + local);
    let next = page.readUInt32BE(at + local);
    for (let filled = local; filled < sizeBytes; ) {
      const more = next > 1 && next <= this.pages && !this.free?.has(next) ? this.#page(next) : undefined;
      // No page of a message is all zero: it was overwritten.
      if (!more || isZero(more)) return undefined;
      next = more.readUInt32BE(0);
      filled += more.copy(payload, filled, 4);
    }
    // The end of a chain says so: else its last page was overwritten.
    return next === 0 ? payload : undefined;
  }

  #readFree(): ReadonlySet<number> | undefined {
    const first = this.#page(1);
    if (!first?.subarray(0, 16).equals(Buffer.from("SQLite format 3\0"))) return undefined;
    const free = new Set<number>();
    const count = first.readUInt32BE(36);
    for (let trunk = first.readUInt32BE(32); trunk !== 0; ) {
      const page = trunk > 1 && trunk <= this.pages && !free.has(trunk) ? this.#page(trunk) : undefined;
      const leaves = page?.readUInt32BE(4) ?? Number.POSITIVE_INFINITY;
      if (!page || 8 + 4 * leaves > page.length) return undefined;
      free.add(trunk);
      for (let i = 0; i < leaves; i++) free.add(page.readUInt32BE(8 + 4 * i));
      trunk = page.readUInt32BE(0);
    }
    return free.size === count ? free : undefined;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Bytes of a payload that are in its cell (§1.6). */
function localBytes(pageBytes: number, sizeBytes: number, isTable: boolean): number {
  const most = isTable ? pageBytes - 35 : Math.floor(((pageBytes - 12) * 64) / 255) - 23;
  if (sizeBytes <= most) return sizeBytes;
  const least = Math.floor(((pageBytes - 12) * 32) / 255) - 23;
  const fits = least + ((sizeBytes - least) % (pageBytes - 4));
  return fits <= most ? fits : least;
}

/** A page that holds no records of its own: the inside of a table's tree, or the rest of a payload, which begins with the
 *  number of the next page. Page numbers of a queue are below 2^25, so that byte is never that of a tree. */
function isOther(page: Buffer): boolean {
  return page[0] === 0x05 || (page[0] === 0 && !isZero(page)) || page[0] === 1;
}

function isZero(page: Buffer): boolean {
  return page.every((byte) => byte === 0);
}
