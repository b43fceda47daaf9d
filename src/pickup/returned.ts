/** pickup/returned.ts: a submission that cleanup refuses for good goes back to its sender, as pickup(8) has it: nobody waits at
 *  a terminal any more. It is queued for the error transport with the reason, its header and the beginning of its body. */
import type { CleanupDeps } from "../cleanup/deps.ts";
import { HeaderScanner } from "../cleanup/header-block.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import type { Reply } from "../mail/reply.ts";
import { type ClaimedMessage, type NewRecipient, QueueError } from "../queue/store.ts";

export interface ReturnedMail {
  readonly envelope: Envelope;
  readonly recipients: readonly Recipient[];
  readonly refusal: Reply;
  /** The first bytes of the content, CRLF lines. */
  readonly beginning: Buffer;
}

/** Commits it. Rejects QueueError. */
export async function queueReturned(
  { envelope, recipients, refusal, beginning }: ReturnedMail,
  { store, laneOf }: Pick<CleanupDeps, "store" | "laneOf">,
): Promise<ClaimedMessage | undefined> {
  const text = refusal.lines.join(" ").replace(/^Error: /, "");
  const filter = `error:${refusal.dsn ?? "5.0.0"} ${text}`;
  const rows: NewRecipient[] = [];
  for (const recipient of recipients) {
    const lane = await laneOf(recipient.address, envelope.sender, filter);
    rows.push({ ...recipient, lane, dueMs: envelope.arrivalMs });
  }
  const { header, body } = split(beginning);
  const writer = store.beginBody(envelope.queueId);
  await writer.write(body);
  const stored = await writer.finish();
  const message = { envelope: { ...envelope, filter }, header, body: stored, recipients: rows, hold: false };
  try {
    return await store.append(message, { claim: true });
  } catch (error) {
    // It is tried again each minute: what belongs to no message must not gather.
    if (!(error instanceof QueueError && error.undecided)) await writer.abort();
    throw error;
  }
}

/** The header with the empty line behind it. */
function split(beginning: Buffer): { readonly header: Buffer; readonly body: Buffer } {
  const end = new HeaderScanner().scan(beginning);
  const [headerEnd, bodyStart] = end.kind === "end" ? [end.headerEnd, end.bodyStart] : [beginning.length, undefined];
  const header = Buffer.concat([beginning.subarray(0, headerEnd), Buffer.from("\r\n")]);
  return { header, body: bodyStart === undefined ? Buffer.alloc(0) : beginning.subarray(bodyStart) };
}
