/** anvil/peaks.ts: the highest counts and rates since the last report, as the lines that anvil(8) logs. */

const RATES = { connect: "connection", mail: "message", rcpt: "recipient", newtls: "newtls", auth: "auth" } as const;

/** connect to auth are rates; connections are those at a time. */
export type Peak = keyof typeof RATES | "connections";

interface Highest {
  readonly value: number;
  readonly client: string;
  /** Wall clock, milliseconds. */
  readonly at: number;
}

export class Peaks {
  readonly #now: () => number;
  readonly #highest = new Map<Peak, Highest>();
  #size: { readonly value: number; readonly at: number } = { value: 0, at: 0 };

  constructor(now: () => number) {
    this.#now = now;
  }

  note(peak: Peak, value: number, client: string): void {
    if (value > (this.#highest.get(peak)?.value ?? 0)) this.#highest.set(peak, { value, client, at: this.#now() });
  }

  /** Number of clients that are remembered. */
  noteSize(value: number): void {
    if (value > this.#size.value) this.#size = { value, at: this.#now() };
  }

  /** One line for each peak above zero, in Postfix's order; begins anew. */
  take(rateUnitMs: number): readonly string[] {
    const unit = Math.round(rateUnitMs / 1000);
    const lines: string[] = [];
    const order: readonly Peak[] = ["connect", "connections", "mail", "rcpt", "newtls", "auth"];
    for (const peak of order) {
      const highest = this.#highest.get(peak);
      if (!highest) continue;
      const { value, client, at } = highest;
      const what = peak === "connections" ? `connection count ${value}` : `${RATES[peak]} rate ${value}/${unit}s`;
      lines.push(`statistics: max ${what} for (${client}) at ${formatTime(at)}`);
    }
    const { value, at } = this.#size;
    if (value > 0) lines.push(`statistics: max cache size ${value} at ${formatTime(at)}`);
    this.#highest.clear();
    this.#size = { value: 0, at: 0 };
    return lines;
  }
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** Local time with a space-padded day: `Jan  1 00:00:00`. */
function formatTime(at: number): string {
  const d = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = String(d.getDate()).padStart(2, " ");
  return `${MONTHS[d.getMonth()]} ${day} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
