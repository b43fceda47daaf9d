/** smtp/content-writer.ts: sends the content of a message behind 354, with back-pressure, in segments of a decent size, within
 *  smtp_data_xfer_timeout: for each block that the peer takes, or for all of it with credit for what it has taken. */
import type { MessageContent } from "../mail/delivery.ts";
import type { ClientConnection } from "../net/client-connection.ts";
import { OutgoingLines } from "./outgoing-lines.ts";
import type { Settings } from "./settings.ts";

/** Corked output is let go at this size. */
const FLUSH_BYTES = 64 * 1024;

/** `broken`: a line was too long. Rejects ConnectionError. */
export async function writeContent(
  connection: ClientConnection,
  content: MessageContent,
  { settings, now }: { readonly settings: Settings; readonly now: () => number },
): Promise<{ readonly broken: boolean }> {
  const lines = new OutgoingLines(settings.lineLimit);
  const budget = new TimeBudget(settings, now);
  let corked = 0;
  connection.cork();
  for await (const chunk of content.chunks()) {
    for (const piece of lines.pieces(chunk)) {
      const slow = connection.write(piece, budget.leftMs);
      if (slow) await budget.spend(slow);
      budget.earn(piece.length);
    }
    corked += chunk.length;
    if (corked < FLUSH_BYTES) continue;
    corked = 0;
    connection.uncork();
    connection.cork();
  }
  const slow = connection.write(lines.end(), budget.leftMs);
  connection.uncork();
  if (slow) await budget.spend(slow);
  return { broken: lines.broken };
}

/** How long the peer may still take (smtp_min_data_rate): time that it lets us wait is spent, bytes that it takes are earned,
 *  never above the limit. Without per-request deadlines each wait has the whole limit. */
class TimeBudget {
  readonly #limitMs: number;
  readonly #msPerByte: number;
  readonly #now: () => number;
  #leftMs: number;

  constructor(settings: Settings, now: () => number) {
    this.#limitMs = this.#leftMs = settings.timeouts.dataXferMs;
    this.#msPerByte = settings.perRequestDeadline ? 1000 / settings.minDataRate : 0;
    this.#now = now;
  }

  get leftMs(): number {
    return Math.max(1, this.#leftMs);
  }

  async spend(wait: Promise<void>): Promise<void> {
    const began = this.#now();
    await wait;
    if (this.#msPerByte > 0) this.#leftMs -= this.#now() - began;
  }

  earn(bytes: number): void {
    this.#leftMs = Math.min(this.#limitMs, this.#leftMs + bytes * this.#msPerByte);
  }
}
