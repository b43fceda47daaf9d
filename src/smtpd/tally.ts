/** smtpd/tally.ts: how often each command was given and succeeded, for the disconnect line (postfix.md §7.1). */

const ORDER = [
  "helo",
  "ehlo",
  "xclient",
  "xforward",
  "starttls",
  "auth",
  "mail",
  "rcpt",
  "data",
  "bdat",
  "rset",
  "noop",
  "vrfy",
  "etrn",
  "quit",
  "help",
  "unknown",
] as const;
export type TallyName = (typeof ORDER)[number];

export class Tally {
  // Two small numbers per command; an idle session has few entries.
  readonly #total = new Map<TallyName, number>();
  readonly #good = new Map<TallyName, number>();

  count(name: TallyName): void {
    this.#total.set(name, (this.#total.get(name) ?? 0) + 1);
  }

  succeed(name: TallyName): void {
    this.#good.set(name, (this.#good.get(name) ?? 0) + 1);
  }

  /** As fields: `rcpt` given and `rcpt_ok` successful, for each command that was given. */
  fields(): Readonly<Record<string, number>> {
    const fields = new Map<string, number>();
    let [total, ok] = [0, 0];
    for (const [name, given] of this.#total) {
      const good = this.#good.get(name) ?? 0;
      fields.set(name, given).set(`${name}_ok`, good);
      total += given;
      ok += good;
    }
    return { ...Object.fromEntries(fields), commands: total, commands_ok: ok };
  }

  /** ` ehlo=1 mail=1 rcpt=1/2 commands=3/4`. */
  format(): string {
    let text = "";
    let total = 0;
    let good = 0;
    for (const name of ORDER) {
      const given = this.#total.get(name) ?? 0;
      if (given === 0) continue;
      const succeeded = this.#good.get(name) ?? 0;
      total += given;
      good += succeeded;
      text += ` ${name}=${ratio(succeeded, given)}`;
    }
    return total === 0 ? " commands=0/0" : `${text} commands=${ratio(good, total)}`;
  }
}

function ratio(good: number, total: number): string {
  return good === total ? String(total) : `${good}/${total}`;
}
