/** authentication/questions.ts: the name service in the form in which the library asks it (node:dns resolve(), its error codes), with a
 *  bound on their number and on the time they take. */
import type { Clock } from "../base/clock.ts";
import type { Dns, DnsAnswer, DnsFailure } from "../dns/resolver.ts";

export type Resolve = (name: string, type: string) => Promise<unknown[]>;

/** SPF asks at most 10 times 10 hosts and 2 more, DMARC 8 names a walk, DKIM one a signature: who needs more is not answered. */
const MAX_QUESTIONS = 150;

/** c-ares code of each failure, as the library reads them. */
const CODES: Readonly<Record<DnsFailure["kind"], string>> = {
  notFound: "ENOTFOUND",
  noData: "ENODATA",
  temporary: "ETIMEOUT",
  invalid: "EBADNAME",
};

export interface QuestionLimits {
  readonly dns: Dns | undefined;
  readonly clock: Pick<Clock, "monotonic">;
  /** For all questions together, from the first on: a body may take its time to arrive. */
  readonly timeoutMs: number;
}

/** The code of a question that was not asked any more. */
export const SPENT = "ESPENT";

/** The questions about one domain, or about the signatures of one message: what a stranger chooses must not use up the time of what he
 *  would rather not have answered. */
export class Questions {
  readonly #limits: QuestionLimits;
  #until: number | undefined;
  #asked = 0;
  #thrown: unknown;

  constructor(limits: QuestionLimits) {
    this.#limits = limits;
  }

  /** Rejects with an Error that has a c-ares code. */
  readonly resolve: Resolve = async (name, type) => {
    this.#asked++;
    const now = this.#limits.clock.monotonic();
    this.#until ??= now + this.#limits.timeoutMs;
    if (this.#asked > MAX_QUESTIONS || now >= this.#until) {
      throw Object.assign(new Error("too many questions, or too slow answers"), { code: SPENT });
    }
    try {
      return await this.#ask(name, type);
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) this.#thrown = error;
      throw error;
    }
  };

  /** A name service rejects only where nobody may ask it (explain); the library takes that for a failure of DNS. */
  rethrow(): void {
    if (this.#thrown !== undefined) throw this.#thrown;
  }

  async #ask(name: string, type: string): Promise<unknown[]> {
    const { dns } = this.#limits;
    switch (type) {
      case "TXT":
        return (await recordsOf(dns?.txt?.(name))).map((text) => [text]);
      case "A":
      case "AAAA":
        return recordsOf(dns?.records?.(name, type === "A" ? 4 : 6));
      case "MX":
        return (await recordsOf(dns?.mx(name))).map(({ preference, exchange }) => ({ priority: preference, exchange }));
      case "PTR":
      case "CNAME":
        return recordsOf(dns?.names?.(name, type));
      default:
        throw failure("noData", `no such record type: ${type}`);
    }
  }
}

async function recordsOf<T>(asked: Promise<DnsAnswer<T>> | undefined): Promise<T[]> {
  const answer = await asked;
  if (answer === undefined) throw failure("temporary", "no name service");
  if (answer.kind !== "found") throw failure(answer.kind, answer.text);
  return [...answer.records];
}

function failure(kind: DnsFailure["kind"], text: string): Error {
  return Object.assign(new Error(text), { code: CODES[kind] });
}
