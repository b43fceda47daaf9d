/** queue/sqlite-record.ts: values out of the bytes of an SQLite record (https://www.sqlite.org/fileformat2.html §2.1), for
 *  databases that SQLite itself refuses to read. Pure; everything that cannot be is undefined, never a guess. */

export type SqlValue = null | bigint | string | Uint8Array;

export interface Varint {
  readonly value: bigint;
  /** Where the next byte is. */
  readonly end: number;
}

/** A variable-length integer of one to nine bytes; undefined at the end of the bytes. */
export function readVarint(bytes: Buffer, at: number): Varint | undefined {
  let value = 0n;
  for (let i = 0; i < 9; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    if (i === 8) return { value: BigInt.asIntN(64, (value << 8n) | BigInt(byte)), end: at + 9 };
    value = (value << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return undefined;
}

/** The columns of a whole record, or undefined where its header does not agree with its length. Floats are not used here. */
export function parseRecord(payload: Buffer): readonly SqlValue[] | undefined {
  const head = readVarint(payload, 0);
  if (!head || head.value > BigInt(payload.length)) return undefined;
  const headEnd = Number(head.value);
  const values: SqlValue[] = [];
  let at = headEnd;
  for (let next = head.end; next < headEnd; ) {
    const type = readVarint(payload, next);
    if (!type || type.end > headEnd) return undefined;
    next = type.end;
    const found = columnOf(payload, at, type.value);
    if (!found) return undefined;
    values.push(found.value);
    at = found.end;
  }
  return at === payload.length ? values : undefined;
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8];

function columnOf(
  payload: Buffer,
  at: number,
  type: bigint,
): { readonly value: SqlValue; readonly end: number } | undefined {
  if (type === 0n) return { value: null, end: at };
  if (type === 8n || type === 9n) return { value: type - 8n, end: at };
  if (type > BigInt(payload.length) * 2n + 13n) return undefined;
  const number = Number(type);
  const sizeBytes = INTEGER_BYTES[number] ?? (number >= 12 ? (number - 12) >> 1 : undefined);
  if (sizeBytes === undefined || at + sizeBytes > payload.length) return undefined;
  const end = at + sizeBytes;
  if (number < 12) return { value: integerOf(payload, at, sizeBytes), end };
  const bytes = payload.subarray(at, end);
  return { value: number % 2 === 0 ? new Uint8Array(bytes) : bytes.toString("utf8"), end };
}

function integerOf(payload: Buffer, at: number, sizeBytes: number): bigint {
  let value = 0n;
  for (let i = 0; i < sizeBytes; i++) value = (value << 8n) | BigInt(payload[at + i] ?? 0);
  return BigInt.asIntN(sizeBytes * 8, value);
}
