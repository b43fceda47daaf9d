/** pickup/drop-cleanup.ts: what an SMTP session writes to where there is no queue: a file of the maildrop directory (sendmail
 *  -bs). The Received field is made here, and another one when the file is picked up, as by Postfix. */
import type { Cleanup, CleanupResult, IncomingMessage, MessageOptions } from "../cleanup/cleanup.ts";
import { receivedField } from "../cleanup/received.ts";
import type { Parameters } from "../config/parameters.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { DropFile } from "./drop-file.ts";
import { formatSubmission, isMailAddress } from "./submission.ts";

export interface DropCleanupDeps {
  readonly maildrop: string;
  readonly params: Parameters;
  /** Takes the file system's reason for a 451. */
  readonly warn: (text: string) => void;
}

export function createDropCleanup(deps: DropCleanupDeps): Cleanup {
  return { begin: (options) => new DroppedMessage(deps, options) };
}

class DroppedMessage implements IncomingMessage {
  readonly #deps: DropCleanupDeps;
  readonly #limit: number;
  #file: DropFile | undefined;
  #refusal: Reply | undefined;
  sizeBytes = 0;

  constructor(deps: DropCleanupDeps, options: MessageOptions) {
    this.#deps = deps;
    this.#limit = deps.params.get("message_size_limit");
    this.#guard(() => {
      const { envelope, recipients } = options;
      const addresses = [...recipients.map(({ original }) => original), ...(envelope.sender ? [envelope.sender] : [])];
      // Or the file would be put aside, and nobody would hear of it.
      if (!addresses.every(isMailAddress)) return this.#refuse(reply(553, "5.1.3", "Bad address syntax"));
      const head = headOf(options);
      if (head === undefined) return this.#refuse(reply(452, "4.5.3", "Error: too many recipients"));
      this.#file = new DropFile(deps.maildrop);
      this.#file.write(head);
      const own = [...options.prepend, receivedField(options, deps.params)];
      this.#file.write(Buffer.from(`${own.join("\r\n")}\r\n`));
    });
  }

  get refused(): boolean {
    return this.#refusal !== undefined;
  }

  write(chunk: Uint8Array): void {
    this.sizeBytes += chunk.length;
    if (this.#limit > 0 && this.sizeBytes > this.#limit) {
      this.#refuse(reply(552, "5.3.4", "Error: message file too big"));
    }
    if (!this.#refusal) this.#guard(() => this.#file?.write(chunk));
  }

  async finish({ discard }: { readonly discard: boolean }): Promise<CleanupResult> {
    if (!this.#refusal && !discard) this.#guard(() => this.#file?.complete());
    if (this.#refusal || discard) await this.abort();
    const refusal = this.#refusal;
    return refusal ? { kind: "refused", reply: refusal, log: refusal.lines.join(" ") } : { kind: "queued" };
  }

  async abort(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    file?.abandon();
  }

  /** The first refusal stands. */
  #refuse(answer: Reply): void {
    this.#refusal ??= answer;
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.#deps.warn(`error writing queue file: ${message}`);
      const full = code === "ENOSPC" || code === "EDQUOT";
      this.#refuse(
        full
          ? reply(452, "4.3.1", "Insufficient system storage")
          : reply(451, "4.3.0", "Error: queue file write error"),
      );
    }
  }
}

function headOf({ envelope, recipients, role }: MessageOptions): Buffer | undefined {
  const { sender, dsn, body, queueId } = envelope;
  const each = recipients.map((recipient): RecipientDsn => recipient.dsn ?? {});
  return formatSubmission({
    ...{ sender, recipients: recipients.map(({ original }) => original), dsn: each, originalId: queueId },
    // A maildrop file has lines: BINARYMIME is not offered to who writes one.
    body: body === "7BIT" ? body : "8BITMIME",
    ...{ ret: dsn?.ret, envid: dsn?.envid, gateway: role === "mx" || undefined },
  });
}
