/** smtpd/commands/bdat.ts: BDAT (RFC 3030): content in counted chunks. A chunk is always read to its end, also one that is refused:
 *  what follows it must be read as commands again (BDAT-05). Where the count is unknown, the session ends (BDAT-07). */
import { type Reply, reply } from "../../mail/reply.ts";
import { ChunkReader, type Chunks, OctetReader } from "../chunk-reader.ts";
import { beginContent, finishContent, Pace } from "../content.ts";
import { answer, type HandlerResult, type Lost, lost, replyWith } from "../result.ts";
import type { Session } from "../session.ts";

/** Above this multiple of message_size_limit a chunk that is refused is not read any more. */
const MOST_SKIPPED = 1.5;

interface Chunk {
  readonly sizeBytes: number;
  readonly last: boolean;
}

export async function runBdat(session: Session, args: string): Promise<HandlerResult> {
  if (!session.keeps("CHUNKING")) return closeWith("5.5.1", "Error: command not implemented");
  const chunk = parseChunk(args);
  if (chunk === undefined) {
    const shown = session.printable(`BDAT ${args}`).slice(0, 100);
    session.log.warning(`${session.logId}: malformed BDAT command syntax from ${session.peer}: ${shown}`);
    return closeWith("5.5.4", "Syntax: BDAT count [LAST]");
  }
  if (session.chunks === "failed") {
    return skip(session, chunk, reply(551, "5.0.0", `Discarded ${chunk.sizeBytes} bytes after earlier error`));
  }
  const chunks = session.chunks ?? (await firstChunk(session));
  if ("refused" in chunks) return skip(session, chunk, chunks.refused);
  const limit = session.settings.messageSizeLimit;
  if (limit > 0 && chunks.sizeBytes + chunk.sizeBytes > limit) {
    session.log.warning(`${session.logId}: queue file size limit exceeded`);
    return skip(session, chunk, reply(552, "5.3.4", "Chunk exceeds message size limit"));
  }
  return take(session, chunk, chunks);
}

function parseChunk(args: string): Chunk | undefined {
  const m = /^(\d{1,15})(?:[ \t]+(LAST))?$/i.exec(args);
  return m ? { sizeBytes: Number(m[1]), last: m[2] !== undefined } : undefined;
}

function closeWith(dsn: string, text: string): HandlerResult {
  return { kind: "close", reply: reply(521, dsn, text) };
}

async function firstChunk(session: Session): Promise<Chunks | { readonly refused: Reply }> {
  const begun = await beginContent(session, "BDAT");
  if ("refused" in begun) return begun;
  const binary = session.transaction?.start.body === "BINARYMIME";
  const reader = binary ? new OctetReader() : new ChunkReader();
  session.chunks = { message: begun.message, reader, pace: new Pace(session), sizeBytes: 0 };
  return session.chunks;
}

async function take(session: Session, { sizeBytes, last }: Chunk, chunks: Chunks): Promise<HandlerResult> {
  const { message, reader, pace } = chunks;
  const write = async (bytes: Buffer | undefined) => {
    const full = bytes === undefined ? undefined : message.write(bytes);
    if (full !== undefined) await full;
  };
  const gone = await readChunk(session, sizeBytes, pace, (bytes) => write(reader.push(bytes)));
  if (gone !== undefined) return endedEarly(session, gone, chunks.sizeBytes);
  chunks.sizeBytes += sizeBytes;
  // Legal, and without end.
  if (sizeBytes === 0 && !last && session.junk++ > session.settings.junkLimit) session.errors++;
  if (!last) return answer(250, "2.0.0", `Ok: ${sizeBytes} bytes`);
  await write(reader.end());
  session.where = "END-OF-MESSAGE";
  const received = { tooBig: false, bareLf: reader.bareLf };
  const result = await finishContent(session, message, received, `Ok: ${chunks.sizeBytes} bytes`);
  session.chunks = undefined; // finished: there is nothing to abandon
  session.resetTransaction();
  return result;
}

/** Reads the chunk away and gives the reply; further chunks of the message fare alike. */
async function skip(session: Session, { sizeBytes, last }: Chunk, refusal: Reply): Promise<HandlerResult> {
  const limit = session.settings.messageSizeLimit;
  await session.abandonContent();
  if (limit > 0 && sizeBytes > limit * MOST_SKIPPED) return { kind: "close", reply: refusal };
  const gone = await readChunk(session, sizeBytes, new Pace(session), () => undefined);
  if (gone !== undefined) return endedEarly(session, gone, 0);
  if (last) session.resetTransaction();
  else session.chunks = "failed";
  return replyWith(refusal);
}

interface Gone {
  readonly why: Lost;
  /** Of this chunk, how much came. */
  readonly bytes: number;
}

/** undefined: the whole chunk was read. */
async function readChunk(
  session: Session,
  sizeBytes: number,
  pace: Chunks["pace"],
  each: (bytes: Buffer) => void | Promise<void>,
): Promise<Gone | undefined> {
  const { connection } = session;
  for (let left = sizeBytes; left > 0; ) {
    const chunk = connection.takeChunk();
    if (chunk === undefined) {
      const result = await connection.wait(pace.timeoutMs(sizeBytes - left));
      if (result === "interrupted" && !session.mustEnd) connection.clearInterrupt();
      else if (result !== "ready") return { why: result, bytes: sizeBytes - left };
      continue;
    }
    const own = chunk.subarray(0, left);
    left -= own.length;
    connection.putBack(chunk.subarray(own.length));
    const wait = each(own);
    if (wait !== undefined) await wait;
  }
  return undefined;
}

async function endedEarly(session: Session, { why, bytes }: Gone, before: number): Promise<HandlerResult> {
  await session.abandonContent();
  session.where = `BDAT (${before + bytes} bytes)`;
  return lost(why);
}
