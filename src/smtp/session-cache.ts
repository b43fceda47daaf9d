/** smtp/session-cache.ts: sessions that wait a moment for further mail to the same next hop (CONNECTION_CACHE_README).
 *  The freshest is used first, so the others get old and are closed. */
import type { Session } from "./session.ts";

/** Idle sessions of one next hop, and of all. */
const MAX_PER_KEY = 100;
const MAX_TOTAL = 500;

export class SessionCache {
  readonly #idle = new Map<string, Session[]>();
  readonly #idleMs: number;
  #total = 0;

  /** `idleMs`: how long a session waits. */
  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  /** A session that was alive a moment ago, taken out of the cache. */
  take(key: string): Session | undefined {
    const session = this.#idle.get(key)?.at(-1);
    if (session) this.#remove(key, session);
    return session;
  }

  /** Keeps the session for a while; closes it if there are too many. */
  put(key: string, session: Session): void {
    const sessions = this.#idle.get(key) ?? [];
    if (!session.connection.fresh || sessions.length >= MAX_PER_KEY || this.#total >= MAX_TOTAL) {
      session.quit();
      return;
    }
    sessions.push(session);
    this.#idle.set(key, sessions);
    this.#total++;
    session.connection.rest(this.#idleMs, () => {
      this.#remove(key, session);
      session.quit();
    });
  }

  /** Closes all. */
  close(): void {
    for (const [key, sessions] of [...this.#idle]) {
      for (const session of [...sessions]) {
        this.#remove(key, session);
        session.quit();
      }
    }
  }

  #remove(key: string, session: Session): void {
    const sessions = this.#idle.get(key);
    const at = sessions?.lastIndexOf(session) ?? -1;
    if (!sessions || at < 0) return;
    sessions.splice(at, 1);
    if (sessions.length === 0) this.#idle.delete(key);
    this.#total--;
    session.connection.wake();
  }
}
