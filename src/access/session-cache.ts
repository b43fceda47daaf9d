/** access/session-cache.ts: DNS list answers that one SMTP session has had, temporary failures too: every recipient asks the
 *  same lists again, and a dead list should cost the session one wait (Postfix's smtpd_rbl_cache). Bounded: the oldest goes. */
import type { DnsAnswer } from "../dns/resolver.ts";

/** Rather more than a session has lists, names and addresses to ask about. */
const MAX_ENTRIES = 100;

export class SessionCache {
  readonly #answers = new Map<string, Promise<DnsAnswer<string>>>();

  /** The answer this session had to `question` ("A 2.0.0.127.list.example"), else a new one from `ask`. */
  get(question: string, ask: () => Promise<DnsAnswer<string>>): Promise<DnsAnswer<string>> {
    const known = this.#answers.get(question);
    if (known) return known;
    const oldest = this.#answers.keys().next();
    if (this.#answers.size >= MAX_ENTRIES && !oldest.done) this.#answers.delete(oldest.value);
    const answer = ask();
    this.#answers.set(question, answer);
    return answer;
  }
}
