/** pickup/receive.ts: reads one claimed file into the queue: head, who may submit, content through cleanup. */
import type { FileHandle } from "node:fs/promises";
import { UnixLines } from "../base/unix-lines.ts";
import { unreachable } from "../base/unreachable.ts";
import type { CleanupResult, IncomingMessage, MessageOptions } from "../cleanup/cleanup.ts";
import type { CleanupDeps } from "../cleanup/deps.ts";
import { formatAddress } from "../mail/address.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { queueReturned } from "./returned.ts";
import type { PickupService } from "./service.ts";
import { MAX_HEAD_BYTES, parseSubmission, type Submission } from "./submission.ts";
import { formatUser, type LocalUser } from "./user-list.ts";

export interface ReceiveDeps {
  readonly service: PickupService;
  readonly queue: Pick<CleanupDeps, "store" | "laneOf">;
  /** Gets the message if it is committed and claimed, before this function's promise resolves. */
  readonly arrived: CleanupDeps["arrived"];
}

/** One file and what is known of it. */
export interface DroppedMail {
  readonly queueId: QueueId;
  readonly handle: FileHandle;
  readonly user: LocalUser;
  readonly arrivalMs: number;
}

/** What shall become of the file. */
export type Received =
  /** It is in the queue, or was refused for good: remove the file. */
  | { readonly kind: "done" }
  /** Not now: leave it, and try again. */
  | { readonly kind: "later"; readonly why: string }
  /** It is no message: put it aside. */
  | { readonly kind: "malformed" };

const CHUNK_BYTES = 64 * 1024;
const LF = 10;
/** Of content, in search of a byte beyond ASCII. */
const MAX_LOOK_BYTES = 16 * 1024 * 1024;
/** How much of a refused message is kept for its report, at the least and at the most. */
const KEPT_BYTES = { least: 102_400, most: MAX_HEAD_BYTES } as const;

/** Rejects the file system's errors, and QueueError of a refused message. */
export async function receive(mail: DroppedMail, deps: ReceiveDeps): Promise<Received> {
  const { service } = deps;
  const reader = new FileReader(mail.handle);
  const head = await reader.line();
  const submission = head && parseSubmission(head);
  if (submission === undefined) return { kind: "malformed" };
  if (!(await service.submitters.allows(mail.user))) {
    service.log.warning(`${mail.queueId}: User ${formatUser(mail.user)} is not allowed to submit mail: removed`);
    return { kind: "done" };
  }
  const from = printableUtf8(formatAddress(submission.sender));
  const before = submission.originalId === undefined ? "" : ` orig_id=${submission.originalId}`;
  service.log.info(`${mail.queueId}: uid=${mail.user.uid} from=<${from}>${before}`, {
    ...{ event: "pickup", queue_id: mail.queueId, uid: mail.user.uid, sender: submission.sender },
    original_id: submission.originalId,
  });
  const options = optionsOf(mail, submission, { service, body: submission.body ?? (await reader.bodyKind()) });
  const limit = service.params.get("bounce_size_limit") + 1;
  const kept = new Beginning(Math.min(Math.max(limit, KEPT_BYTES.least), KEPT_BYTES.most));
  const message = service.cleanup(deps.arrived).begin(options);
  const result = await copy(reader, message, kept);
  return settle(result, { options, kept, deps });
}

async function settle(
  result: CleanupResult,
  { options, kept, deps }: { readonly options: MessageOptions; readonly kept: Beginning; readonly deps: ReceiveDeps },
): Promise<Received> {
  switch (result.kind) {
    case "queued":
      return { kind: "done" };
    case "refused": {
      if (result.reply.code < 500) return { kind: "later", why: result.log };
      const { envelope, recipients } = options;
      const returned = { envelope, recipients, refusal: result.reply, beginning: kept.bytes() };
      const claimed = await queueReturned(returned, deps.queue);
      if (claimed) deps.arrived(claimed);
      return { kind: "done" };
    }
    default:
      return unreachable(result);
  }
}

/** Ends early when nothing of the rest is wanted: a file may be of any size, and without content. */
async function copy(reader: FileReader, message: IncomingMessage, kept: Beginning): Promise<CleanupResult> {
  const lines = new UnixLines();
  const take = async (pieces: readonly Buffer[]) => {
    for (const piece of pieces) {
      kept.add(piece);
      await message.write(piece);
    }
  };
  for (let chunk = await reader.chunk(); chunk; chunk = await reader.chunk()) {
    await take(lines.push(chunk));
    if (message.refused && kept.full) break;
  }
  await take(lines.end());
  return message.finish({ hold: false, discard: false });
}

function optionsOf(
  { queueId, user, arrivalMs }: DroppedMail,
  { sender, recipients, fullName, notify, dsn: each, ret, envid, gateway, verify }: Submission,
  { service, body }: { readonly service: PickupService; readonly body: Envelope["body"] },
): MessageOptions {
  const dsn = ret === undefined && envid === undefined ? undefined : { ret, envid };
  const origin = {
    ...{ clientName: "localhost", clientAddress: "127.0.0.1", helo: undefined, protocol: "ESMTP", service: "pickup" },
    uid: user.uid,
  };
  const smtputf8 = [sender, ...recipients].some((address) => /[^\x00-\x7f]/.test(address));
  return {
    envelope: { queueId, sender: service.rewrite(sender), arrivalMs, smtputf8, body, origin, dsn, verify },
    recipients: recipients.map(
      (original, i): Recipient => ({
        ...{ address: service.rewrite(original), original },
        dsn: each?.[i] ?? (notify && { notify }),
      }),
    ),
    tls: undefined,
    prepend: [],
    role: gateway === true ? "mx" : "submission",
    fullName,
  };
}

/** The first bytes of a content. */
class Beginning {
  readonly #limit: number;
  readonly #pieces: Buffer[] = [];
  #size = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get full(): boolean {
    return this.#size >= this.#limit;
  }

  /** Copies nothing: what is added must stay as it is. */
  add(piece: Buffer): void {
    if (this.full) return;
    const part = piece.subarray(0, this.#limit - this.#size);
    this.#pieces.push(part);
    this.#size += part.length;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces, this.#size);
  }
}

/** A file from its beginning, in fresh chunks. */
class FileReader {
  readonly #handle: FileHandle;
  #position = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async chunk(): Promise<Buffer | undefined> {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    const { bytesRead } = await this.#handle.read(chunk, 0, CHUNK_BYTES, this.#position);
    this.#position += bytesRead;
    return bytesRead === 0 ? undefined : chunk.subarray(0, bytesRead);
  }

  /** The first line with its LF; undefined if it is too long, or has no end. */
  async line(): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    let size = 0;
    for (let chunk = await this.chunk(); chunk && size < MAX_HEAD_BYTES; chunk = await this.chunk()) {
      const end = chunk.indexOf(LF) + 1;
      parts.push(end > 0 ? chunk.subarray(0, end) : chunk);
      size += end > 0 ? end : chunk.length;
      if (end === 0) continue;
      this.#position -= chunk.length - end;
      return size <= MAX_HEAD_BYTES ? Buffer.concat(parts, size) : undefined;
    }
    return undefined;
  }

  /** Looks ahead through the file, but not through more of it than `MAX_LOOK_BYTES`: beyond, 8 bits are assumed. */
  async bodyKind(): Promise<Envelope["body"]> {
    const start = this.#position;
    try {
      for (let chunk = await this.chunk(); chunk; chunk = await this.chunk()) {
        if (this.#position - start > MAX_LOOK_BYTES || chunk.some((byte) => byte > 0x7f)) return "8BITMIME";
      }
      return "7BIT";
    } finally {
      this.#position = start;
    }
  }
}
