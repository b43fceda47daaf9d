/** test/crash/ledger.ts: what clients and next hop know of each message, whatever the server believes: which attempts were
 *  answered 250, what operators were told, which copies the next hop acknowledged, and when the server was struck. */

export interface Attempt {
  readonly id: string;
  /** Recipients that the next hop takes, sooner or later. */
  readonly taken: readonly string[];
  /** Where one report must go, since the next hop refuses a recipient for good. */
  readonly reportTo: string | undefined;
  accepted: boolean;
  /** An operator asked for its removal: `asked`; was told that it is removed: `done`. */
  removal: "none" | "asked" | "done";
  /** Spans in which an operator believed it held, in milliseconds; the end is when he asked for its release. */
  readonly held: { readonly fromMs: number; toMs: number }[];
}

export interface Copy {
  readonly id: string;
  readonly recipient: string;
  readonly atMs: number;
  /** Why the content is not what the client sent. */
  readonly torn: string | undefined;
}

export interface Verdict {
  readonly lost: number;
  /** Second copies of what the next hop had acknowledged just before a strike, which the server could not know. */
  readonly inside: number;
  /** Copies that nothing explains, torn content, removed mail that came, held mail that came. */
  readonly outside: number;
  readonly accepted: number;
  /** One sentence each. */
  readonly faults: readonly string[];
}

/** A copy acknowledged this shortly before a strike may not have been settled yet. */
const WINDOW_MS = 2000;
/** Strikes are seen this much after they happened, at most. */
const NOTICE_MS = 100;

export class Ledger {
  readonly #nowMs: () => number;
  readonly #attempts = new Map<string, Attempt>();
  #copies: Copy[] = [];
  #strikes: number[] = [];
  #wake: () => void = () => undefined;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  begin(attempt: Pick<Attempt, "id" | "taken" | "reportTo">): Attempt {
    const begun: Attempt = { ...attempt, accepted: false, removal: "none", held: [] };
    this.#attempts.set(attempt.id, begun);
    return begun;
  }

  /** To be called before the next hop acknowledges; `atMs` for what was found later. */
  arrived(copy: Omit<Copy, "atMs"> & { readonly atMs?: number }): void {
    this.#copies.push({ ...copy, atMs: copy.atMs ?? this.#nowMs() });
    this.#wake();
  }

  /** Since the last judgement, in order. */
  get copies(): readonly Copy[] {
    return this.#copies;
  }

  /** A kill or a fault, at this moment. */
  struck(): void {
    this.#strikes.push(this.#nowMs());
    this.#wake();
  }

  /** True when every copy and report of an attempt has come. */
  isComplete({ taken, reportTo, id }: Attempt): boolean {
    const wanted = reportTo === undefined ? taken : [...taken, reportTo];
    return wanted.every((recipient) => this.#copies.some((copy) => copy.id === id && copy.recipient === recipient));
  }

  /** Resolves after the next copy or strike, or after `timeoutMs`. */
  async changed(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }

  /** Accepted messages of which something has not come and may still come. */
  owed(): readonly Attempt[] {
    return [...this.#attempts.values()].filter((a) => a.accepted && a.removal === "none" && !this.isComplete(a));
  }

  /** Judges everything since the last time, and forgets it. */
  judge(): Verdict {
    const faults: string[] = [];
    const verdict = { lost: 0, inside: 0, outside: 0, accepted: 0 };
    for (const attempt of this.#attempts.values()) {
      if (attempt.accepted) verdict.accepted++;
      if (attempt.accepted && attempt.removal === "none" && !this.isComplete(attempt)) {
        verdict.lost++;
        faults.push(`${attempt.id}: answered 250, but lost: ${this.#whatCame(attempt)}`);
      }
      for (const copies of this.#byRecipient(attempt).values()) {
        const fault = this.#judgeCopies(attempt, copies, verdict);
        if (fault !== undefined) faults.push(`${attempt.id}: ${fault}`);
      }
    }
    this.#attempts.clear();
    this.#copies = [];
    this.#strikes = [];
    return { ...verdict, faults };
  }

  #judgeCopies(attempt: Attempt, copies: readonly Copy[], verdict: { inside: number; outside: number }) {
    const [first] = copies;
    const torn = copies.find((copy) => copy.torn !== undefined);
    const early = copies.find(({ atMs }) => attempt.held.some((span) => atMs > span.fromMs && atMs < span.toMs));
    const unasked = ![...attempt.taken, attempt.reportTo].includes(first?.recipient);
    let fault: string | undefined;
    if (torn) fault = `torn: ${torn.torn}`;
    else if (early) fault = `came to ${early.recipient} while it was held`;
    else if (attempt.removal === "done") fault = `came to ${first?.recipient} after it was removed`;
    else if (unasked) fault = `came to ${first?.recipient}, to whom it was not sent`;
    if (fault !== undefined) verdict.outside++;
    for (const [i, { atMs, recipient }] of copies.entries()) {
      const before = copies[i - 1]?.atMs;
      if (before === undefined) continue;
      if (this.#isExplained(before, atMs)) verdict.inside++;
      else {
        verdict.outside++;
        fault ??= `came ${copies.length} times to ${recipient}`;
      }
    }
    return fault;
  }

  /** A strike must lie between the two copies, and soon after the first. */
  #isExplained(firstMs: number, secondMs: number): boolean {
    return this.#strikes.some((at) => at >= firstMs && at - firstMs <= WINDOW_MS && at <= secondMs + NOTICE_MS);
  }

  #byRecipient({ id }: Attempt): Map<string, Copy[]> {
    const found = new Map<string, Copy[]>();
    for (const copy of this.#copies) {
      if (copy.id !== id) continue;
      found.set(copy.recipient, [...(found.get(copy.recipient) ?? []), copy]);
    }
    return found;
  }

  #whatCame({ id, taken, reportTo }: Attempt): string {
    const came = this.#copies.filter((copy) => copy.id === id).map((copy) => copy.recipient);
    return `wanted ${[...taken, ...(reportTo === undefined ? [] : [reportTo])].join(", ")}, came ${came.join(", ") || "nothing"}`;
  }
}
