/** tables/cdb.ts: constant databases, the format of cdb(5): Postfix's `name.cdb`, read only, and the index files that
 *  `postern postmap` writes. A whole file is read into memory; nothing in it is trusted. */
import { TableError } from "./table.ts";

const HEADER_BYTES = 2048;
const TABLES = 256;

/** All records; the first of duplicates stays. Postfix ends keys and values with a NUL byte, which is dropped. Throws
 *  TableError for bytes that are no such file. */
export function parseCdb(bytes: Uint8Array, path: string): ReadonlyMap<string, string> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const broken = (why: string) => new TableError(`${path} is not a cdb file: ${why}`);
  if (view.length < HEADER_BYTES) throw broken("it is too short");
  let end = view.length;
  for (let i = 0; i < TABLES; i++) end = Math.min(end, view.readUInt32LE(i * 8));
  if (end < HEADER_BYTES) throw broken("a hash table stands in its header");
  const entries = new Map<string, string>();
  for (let at = HEADER_BYTES; at < end; ) {
    if (at + 8 > end) throw broken("a record is cut off");
    const keyEnd = at + 8 + view.readUInt32LE(at);
    const valueEnd = keyEnd + view.readUInt32LE(at + 4);
    if (valueEnd > end) throw broken("a record is cut off");
    const key = textOf(view, at + 8, keyEnd);
    if (!entries.has(key)) entries.set(key, textOf(view, keyEnd, valueEnd));
    at = valueEnd;
  }
  return entries;
}

function textOf(view: Buffer, from: number, to: number): string {
  const end = to > from && view[to - 1] === 0 ? to - 1 : to;
  return view.toString("utf8", from, end);
}

interface Slot {
  readonly hash: number;
  readonly at: number;
}

/** The bytes of a file with these records, keys and values without NUL. */
export function formatCdb(entries: ReadonlyMap<string, string>): Buffer {
  const parts: Buffer[] = [];
  const tables: Slot[][] = Array.from({ length: TABLES }, () => []);
  let at = HEADER_BYTES;
  for (const [key, value] of entries) {
    const [k, v] = [Buffer.from(key), Buffer.from(value)];
    parts.push(words(k.length, v.length), k, v);
    const hash = hashOf(k);
    tables[hash & 255]?.push({ hash, at });
    at += 8 + k.length + v.length;
  }
  const header = Buffer.alloc(HEADER_BYTES);
  for (const [i, slots] of tables.entries()) {
    header.writeUInt32LE(at, i * 8);
    header.writeUInt32LE(slots.length * 2, i * 8 + 4);
    const table = formatTable(slots);
    parts.push(table);
    at += table.length;
  }
  if (at > 0xffff_ffff) throw new TableError("the index would be larger than 4 GB");
  return Buffer.concat([header, ...parts]);
}

/** Open addressing, twice as many slots as records. */
function formatTable(slots: readonly Slot[]): Buffer {
  const size = slots.length * 2;
  const table = Buffer.alloc(size * 8);
  for (const { hash, at } of slots) {
    let slot = (hash >>> 8) % size;
    while (table.readUInt32LE(slot * 8 + 4) !== 0) slot = (slot + 1) % size;
    table.writeUInt32LE(hash, slot * 8);
    table.writeUInt32LE(at, slot * 8 + 4);
  }
  return table;
}

function hashOf(key: Buffer): number {
  let hash = 5381;
  for (const byte of key) hash = ((Math.imul(hash, 33) >>> 0) ^ byte) >>> 0;
  return hash;
}

function words(a: number, b: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeUInt32LE(a, 0);
  buffer.writeUInt32LE(b, 4);
  return buffer;
}
