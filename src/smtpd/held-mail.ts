/** smtpd/held-mail.ts: who counts messages that are held for later, for the quota of a login (RFC 4865 §6). */

/** Messages that are held for somebody, exact over all workers. */
export interface HeldMail {
  /** One more, until what is returned is called: then it is in the queue, or will never be. */
  reserve(owner: string): () => void;
  /** Those in the queue and those reserved. Rejects if somebody cannot be asked. */
  count(owner: string): Promise<number>;
}
