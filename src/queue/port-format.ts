/** queue/port-format.ts: how requests travel to the store thread, and replies back. The port copies values by structured clone, which writes
 *  the name of each property of each object (measured: 15 µs to send and 18 to receive a message of 4 KiB, 4 and 2 as
 *  below), so the two operations of which there is one for each message go as tuples, and all their bytes in one buffer that
 *  is transferred: a caller's (possibly pooled) buffer is never given away. Both ends are of one program: no versions. */
import type { ForwardRow, MessageRow, SettleRow } from "./delivery-rows.ts";
import type { Reply, Request } from "./engine.ts";
import type { Answer, Operation } from "./operations.ts";
import type { NewRecipient } from "./store.ts";

type RecipientCells = readonly [
  address: NewRecipient["address"],
  original: NewRecipient["original"],
  dsn: NewRecipient["dsn"],
  lane: string,
  dueMs: number,
];

/** Bytes are lengths here: they stand in the buffer in the order in which they are named. */
type MessageCells = readonly [
  key: bigint,
  queueId: string,
  envelope: string,
  sizeBytes: number,
  headerBytes: number,
  bodyBytes: number | undefined,
  file: string | undefined,
  hold: boolean,
  release: MessageRow["release"],
  recipients: readonly RecipientCells[],
];

type ForwardCells = readonly [
  key: bigint,
  queueId: string,
  envelope: string,
  headBytes: number,
  recipients: readonly RecipientCells[],
];

type SettleCells = readonly [
  key: bigint,
  done: SettleRow["done"],
  deferred: SettleRow["deferred"],
  warned: SettleRow["warned"],
  append: readonly MessageCells[],
  forwards: readonly ForwardCells[],
];

type RequestCells =
  | readonly [id: number, shard: number, kind: "append", claim: boolean, message: MessageCells]
  | readonly [id: number, shard: number, kind: "settle", filesFrom: string | undefined, settlement: SettleCells]
  | readonly [id: number, shard: number, kind: "other", op: Exclude<Operation, { kind: "append" | "settle" }>];

/** What was asked for in one turn of the event loop. */
export interface PackedRequests {
  readonly cells: readonly RequestCells[];
  readonly bytes: ArrayBuffer;
}

/** Bytes that packRequests() will copy for it. */
export function bytesOf(op: Operation): number {
  if (op.kind === "append") return bytesOfMessage(op.message);
  if (op.kind !== "settle") return 0;
  const heads = op.settlement.forwards.reduce((sum, { head }) => sum + head.length, 0);
  return op.settlement.append.reduce((sum, message) => sum + bytesOfMessage(message), heads);
}

function bytesOfMessage({ header, body }: MessageRow): number {
  return header.length + (body?.length ?? 0);
}

/** `sizeBytes`: the sum of bytesOf() over all. */
export function packRequests(requests: readonly Request[], sizeBytes: number): PackedRequests {
  const bytes = new ArrayBuffer(sizeBytes);
  const writer = new Writer(bytes);
  return { cells: requests.map((request) => packRequest(request, writer)), bytes };
}

function packRequest({ id, shard, op }: Request, writer: Writer): RequestCells {
  if (op.kind === "append") return [id, shard, "append", op.claim, packMessage(op.message, writer)];
  if (op.kind !== "settle") return [id, shard, "other", op];
  const { key, done, deferred, warned, append, forwards } = op.settlement;
  const messages = append.map((message) => packMessage(message, writer));
  const copies = forwards.map((copy) => packForward(copy, writer));
  return [id, shard, "settle", op.filesFrom, [key, done, deferred, warned, messages, copies]];
}

function packMessage(message: MessageRow, writer: Writer): MessageCells {
  const { key, queueId, envelope, sizeBytes, header, body, file, hold, release, recipients } = message;
  const headerBytes = writer.put(header);
  const bodyBytes = body && writer.put(body);
  const list = recipients.map(packRecipient);
  return [key, queueId, envelope, sizeBytes, headerBytes, bodyBytes, file, hold, release, list];
}

function packForward({ key, queueId, envelope, head, recipients }: ForwardRow, writer: Writer): ForwardCells {
  return [key, queueId, envelope, writer.put(head), recipients.map(packRecipient)];
}

function packRecipient({ address, original, dsn, lane, dueMs }: NewRecipient): RecipientCells {
  return [address, original, dsn, lane, dueMs];
}

/** The bytes in the result are views into the buffer. */
export function unpackRequests({ cells, bytes }: PackedRequests): readonly Request[] {
  const reader = new Reader(bytes);
  return cells.map((request) => unpackRequest(request, reader));
}

function unpackRequest(cells: RequestCells, reader: Reader): Request {
  const [id, shard] = cells;
  if (cells[2] === "append") {
    const [, , kind, claim, message] = cells;
    return { id, shard, op: { kind, claim, message: unpackMessage(message, reader) } };
  }
  if (cells[2] === "other") return { id, shard, op: cells[3] };
  const [, , kind, filesFrom, [key, done, deferred, warned, messages, copies]] = cells;
  const append = messages.map((message) => unpackMessage(message, reader));
  const forwards = copies.map((copy) => unpackForward(copy, reader));
  return { id, shard, op: { kind, filesFrom, settlement: { key, done, deferred, warned, append, forwards } } };
}

function unpackMessage(cells: MessageCells, reader: Reader): MessageRow {
  const [key, queueId, envelope, sizeBytes, headerBytes, bodyBytes, file, hold, release, list] = cells;
  const header = reader.take(headerBytes);
  const body = bodyBytes === undefined ? undefined : reader.take(bodyBytes);
  const recipients = list.map(unpackRecipient);
  return { key, queueId, envelope, sizeBytes, header, body, file, hold, release, recipients };
}

function unpackForward([key, queueId, envelope, headBytes, recipients]: ForwardCells, reader: Reader): ForwardRow {
  return { key, queueId, envelope, head: reader.take(headBytes), recipients: recipients.map(unpackRecipient) };
}

function unpackRecipient([address, original, dsn, lane, dueMs]: RecipientCells): NewRecipient {
  return { address, original, dsn, lane, dueMs };
}

/** Most answers are nothing: then an id and `undefined` is all that travels. */
export interface PackedReplies {
  readonly ids: readonly number[];
  readonly answers: readonly Answer[];
  readonly refusals: readonly Refused[];
}

type Answered = Extract<Reply, { readonly answer: unknown }>;
type Refused = Exclude<Reply, Answered>;

export function packReplies(replies: readonly Reply[]): PackedReplies {
  const answered = replies.filter((reply): reply is Answered => "answer" in reply);
  return {
    ids: answered.map(({ id }) => id),
    answers: answered.map(({ answer }) => answer),
    refusals: replies.filter((reply): reply is Refused => !("answer" in reply)),
  };
}

/** Answers first. */
export function unpackReplies({ ids, answers, refusals }: PackedReplies): readonly Reply[] {
  return [...ids.map((id, i) => ({ id, answer: answers[i] })), ...refusals];
}

class Writer {
  readonly #bytes: Uint8Array;
  #used = 0;

  constructor(buffer: ArrayBuffer) {
    this.#bytes = new Uint8Array(buffer);
  }

  /** Returns the length. */
  put(bytes: Uint8Array): number {
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    return bytes.length;
  }
}

class Reader {
  readonly #buffer: ArrayBuffer;
  #read = 0;

  constructor(buffer: ArrayBuffer) {
    this.#buffer = buffer;
  }

  take(length: number): Uint8Array {
    const bytes = new Uint8Array(this.#buffer, this.#read, length);
    this.#read += length;
    return bytes;
  }
}
