/** duplicates/claim.ts: what is said about a message that a client may send again because it never read the reply to it (RFC 1047). Whoever is
 *  about to queue a message claims it; the claim stands until the client is known to have read the reply, or for a while. The
 *  claims of all workers are in the master. */

/** Names the sender, the envelope and the content (messageKey()). */
export type ClaimKey = string;

/** `ask`, before a message is queued, with how long the claim shall stand; `kept`: it is queued; `read`: the client has read the reply; `gone`: the
 *  message was refused. */
export type ClaimRequest =
  | readonly [what: "ask", key: ClaimKey, queueId: string, windowMs: number]
  | readonly [what: "kept" | "read" | "gone", key: ClaimKey, queueId: string];

/** To `ask`: NEW, BUSY, or the id under which the message is queued; to others "". */
export type ClaimAnswer = string;

/** Nobody has the claim: it is the asker's now. */
export const NEW = "+";
/** Another session is about to queue the same message: what becomes of that decides. Ask again soon. */
export const BUSY = "?";

/** Requests of one batch at most. */
export const MAX_BATCH = 500;

/** The claims as a session has them. */
export interface DuplicateClaims {
  /** The id of the same message if it is queued already and its client never read the reply; "new": it is the asker's;
   *  "unknown": that cannot be told now. Never rejects. */
  ask(key: ClaimKey, queueId: string, windowMs: number): Promise<{ readonly queueId: string } | "new" | "unknown">;
  tell(what: "kept" | "read" | "gone", key: ClaimKey, queueId: string): void;
}

/** What a service does with them. */
export interface DuplicateGuard {
  readonly action: "mark" | "suppress";
  /** How long after it was queued a message counts. */
  readonly windowMs: number;
  readonly claims: DuplicateClaims;
}
