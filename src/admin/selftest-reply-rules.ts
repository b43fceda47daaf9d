/** admin/selftest-reply-rules.ts: what holds for every reply of a server: codes (RFC 5321 §4.3.2), enhanced codes (RFC 2034 §4),
 *  length of lines (RFC 5321 §4.5.3.1.5). */

export interface BrokenRule {
  readonly id: string;
  readonly line: string;
}

/** Without CRLF. */
const MAX_LINE = 510;
/** Replies to these, and the greeting, have no enhanced code. */
const WITHOUT_STATUS = /^(?:EHLO|HELO)\b/im;

export const REPLY_RULES: ReadonlyMap<string, string> = new Map([
  ["SMTP-21", "codes have three digits, the first is 2 to 5"],
  ["ESC-01", "an enhanced code on each reply but the greeting and those to HELO and EHLO"],
  ["ESC-02", "its class is that of the reply, on each line"],
  ["LIM-02", "reply lines are at most 512 octets long"],
]);

export class ReplyRules {
  /** At most one a rule. */
  readonly broken: BrokenRule[] = [];

  /** Lines of one reply; `commands` were written before it, nothing before the greeting. */
  check(lines: readonly string[], commands: string): void {
    for (const line of lines) {
      if (!/^[2-5]\d\d[ -]/.test(line)) this.#complain("SMTP-21", line);
      if (line.length > MAX_LINE) this.#complain("LIM-02", line);
      if (commands === "" || WITHOUT_STATUS.test(commands) || line.startsWith("3")) continue;
      const status = /^\d{3}[ -]([245])\.\d{1,3}\.\d{1,3}(?: |$)/.exec(line);
      if (!status) this.#complain("ESC-01", line);
      else if (status[1] !== line[0]) this.#complain("ESC-02", line);
    }
  }

  #complain(id: string, line: string): void {
    if (!this.broken.some((one) => one.id === id)) this.broken.push({ id, line });
  }
}
