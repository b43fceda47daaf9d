/** smtp/content-writer.ts: sends the content of a message behind 354, with back-pressure, in segments of a decent size, within
 *  smtp_data_xfer_timeout: for each block that the peer takes, or for all of it with credit for what it has taken. */
import type { MessageContent } from "../mail/delivery.ts";
import type { ClientConnection } from "../net/client-connection.ts";
import { OutgoingLines } from "./outgoing-lines.ts";
import type { Settings } from "./settings.ts";
import { TimeBudget } from "./time-budget.ts";

/** Corked output is let go at this size. */
const FLUSH_BYTES = 64 * 1024;

export interface ContentOptions {
  readonly settings: Settings;
  readonly now: () => number;
  /** The last bytes go: from here on the peer may have all of it. */
  readonly ending: () => void;
}

/** `broken`: a line was too long. Rejects ConnectionError. */
export async function writeContent(
  connection: ClientConnection,
  content: MessageContent,
  { settings, now, ending }: ContentOptions,
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
  ending();
  const slow = connection.write(lines.end(), budget.leftMs);
  connection.uncork();
  if (slow) await budget.spend(slow);
  return { broken: lines.broken };
}
