/** local/result.ts: what became of one destination, in the words of local(8). */
import type { Address } from "../mail/address.ts";
import type { RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import { TableError } from "../tables/table.ts";

/** Without what is the same for all destinations of one recipient. */
export type Result = Pick<RcptOutcome, "kind" | "dsn" | "text"> & Partial<Omit<RcptOutcome, "recipientId">>;

export function sent(text: string): Result {
  return { kind: "sent", dsn: "2.0.0", text };
}

export function bounced(dsn: string, text: string): Result {
  return { kind: "bounced", dsn, text };
}

export function deferred(dsn: string, text: string): Result {
  return { kind: "deferred", dsn, text };
}

export function unknownUser(user: string): Result {
  return bounced("5.1.1", `unknown user: "${printableUtf8(user)}"`);
}

/** The result of an address that is not the recipient's own. */
export function at(address: Address, recipient: { readonly address: Address }, result: Result): Result {
  return address.toLowerCase() === recipient.address.toLowerCase() ? result : { ...result, address };
}

/** No space of his own is left, or the message is too large for him: nothing that waiting would mend (virtual(8)). */
const OVER_QUOTA: ReadonlySet<unknown> = new Set(["EDQUOT", "EFBIG"]);

/** Whatever went wrong, this recipient waits; a throw would repeat the recipients that were delivered before. `signal`: what may have
 *  ended it. */
export function failed(error: unknown, signal?: AbortSignal): Result {
  if (error instanceof TableError || error instanceof MappingError) return deferred("4.3.0", "table lookup problem");
  if (signal?.aborted && error === signal.reason) return deferred("4.3.0", "delivery was interrupted");
  if (error instanceof Error && "code" in error && "syscall" in error) {
    const [reason = error.message] = error.message.split(", ");
    const text = `maildir delivery failed: ${error.syscall}: ${printableUtf8(reason)}`;
    return OVER_QUOTA.has(error.code) ? bounced("5.2.2", text) : deferred("4.3.0", text);
  }
  return deferred("4.3.0", `local delivery failed: ${printableUtf8(String(error))}`);
}
