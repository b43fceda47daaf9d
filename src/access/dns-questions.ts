/** access/dns-questions.ts: what restrictions ask DNS, each question with its answer in the trace. A name service that is not
 *  there answers as if it could not answer now. Knows no reply. */
import { domainToASCII } from "node:url";
import { canonicalIp } from "../base/cidr.ts";
import type { Dns, DnsAnswer, DnsFailure, MxRecord } from "../dns/resolver.ts";
import type { Told } from "../tables/lookup-trace.ts";
import { isHostname } from "./hostname.ts";
import type { Context } from "./restriction.ts";

const NO_SERVICE: DnsFailure = { kind: "temporary", text: "Host not found, try again" };

/** A trace shows this many records of an answer. */
const MAX_SHOWN = 10;

export interface DnsHost {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Whether a name is one that mail can go to. "malformed": all its MX records name impossible hosts. */
export type Existence = "exists" | "nullMx" | "malformed" | "temporary" | "absent";

type Look = Pick<Context, "trace">;

export class DnsQuestions {
  readonly #dns: Dns | undefined;

  constructor(dns: Dns | undefined) {
    this.#dns = dns;
  }

  mx(domain: string, context: Look): Promise<DnsAnswer<MxRecord>> {
    return note("dns MX", domain, { answer: this.#dns?.mx(domain), context });
  }

  ns(domain: string, context: Look): Promise<DnsAnswer<string>> {
    return note("dns NS", domain, { answer: this.#dns?.ns?.(domain), context });
  }

  /** Addresses as a connection would use them: hosts file first. */
  hosts(name: string, context: Look): Promise<DnsAnswer<DnsHost>> {
    return note("host", name, { answer: this.#dns?.addresses(name), context });
  }

  /** Addresses of one family from DNS alone. */
  records(name: string, family: 4 | 6, context: Look): Promise<DnsAnswer<string>> {
    const answer = this.#dns?.records?.(name, family);
    return note(family === 4 ? "dns A" : "dns AAAA", name, { answer, context });
  }

  /** A record of a DNS list, asked once a session. `onFailure` hears of a temporary failure, once a session. */
  listed(query: string, context: Context, onFailure: (text: string) => void): Promise<DnsAnswer<string>> {
    const answer = context.session.get(`A ${query}`, async () => {
      const fresh = (await this.#dns?.records?.(query, 4)) ?? NO_SERVICE;
      if (fresh.kind === "temporary") onFailure(fresh.text);
      return fresh;
    });
    return note("dns A", query, { answer, context });
  }

  /** Why a DNS list lists it, asked once a session. */
  listReason(query: string, context: Context): Promise<DnsAnswer<string>> {
    const ask = async () => (await this.#dns?.txt?.(query)) ?? NO_SERVICE;
    const answer = context.session.get(`TXT ${query}`, ask);
    return note("dns TXT", query, { answer, context });
  }

  /** MX, then A and AAAA (reject_unknown_{sender,recipient}_domain). A null MX or malformed one ends the search. */
  async mailHost(domain: string, context: Look): Promise<Existence> {
    const mx = existenceOfMx(await this.mx(domain, context));
    if (mx === "exists" || mx === "nullMx" || mx === "malformed") return mx;
    return this.#anyAddress(domain, mx, context);
  }

  /** A and AAAA, then MX, null or not (reject_unknown_helo_hostname). */
  async hostOrMailHost(name: string, context: Look): Promise<Existence> {
    const address = await this.#anyAddress(name, "absent", context);
    if (address === "exists") return address;
    const mx = existenceOfMx(await this.mx(name, context));
    return mx !== "exists" && address === "temporary" ? address : mx;
  }

  /** `before` is the result if there is none: a temporary failure goes before "absent". */
  async #anyAddress(name: string, before: "temporary" | "absent", context: Look): Promise<Existence> {
    let result: Existence = before;
    for (const family of [4, 6] as const) {
      const answer = await this.records(name, family, context);
      if (answer.kind === "found") return "exists";
      if (answer.kind === "temporary") result = "temporary";
    }
    return result;
  }
}

/** What an MX answer says alone. Records that name impossible hosts do not count (RFC 5321 §5.1, RFC 7505). */
function existenceOfMx(answer: DnsAnswer<MxRecord>): Existence {
  if (answer.kind === "temporary") return "temporary";
  if (answer.kind !== "found") return "absent";
  if (usableMx(answer.records).length > 0) return "exists";
  return isNullMx(answer) ? "nullMx" : "malformed";
}

/** The records whose exchange may be a host. */
function usableMx(records: readonly MxRecord[]): readonly MxRecord[] {
  return records.filter(({ exchange }) => isHostname(exchange) || canonicalIp(exchange) !== undefined);
}

/** True for a domain that says it takes no mail (RFC 7505). */
export function isNullMx(answer: DnsAnswer<MxRecord>): boolean {
  return (
    answer.kind === "found" && answer.records.length > 0 && answer.records.every(({ exchange }) => exchange === "")
  );
}

/** A-labels of an international domain, as replies name it; the domain itself if it has none. */
export function asciiDomain(domain: string): string {
  return /[^\x00-\x7f]/.test(domain) ? domainToASCII(domain) || domain : domain;
}

interface Noted<T> {
  readonly answer: Promise<DnsAnswer<T>> | undefined;
  readonly context: Look;
}

async function note<T extends DnsRecord>(type: string, name: string, noted: Noted<T>): Promise<DnsAnswer<T>> {
  const { trace } = noted.context;
  try {
    const given = (await noted.answer) ?? NO_SERVICE;
    trace?.lookup(type, name, given, type === "dns TXT" ? tellTexts : tellAnswer);
    return given;
  } catch (error) {
    trace?.lookup(type, name, error);
    throw error;
  }
}

type DnsRecord = string | MxRecord | DnsHost;

function tellTexts(answer: DnsAnswer<DnsRecord>): Told {
  return tell(answer, (record) => `"${showRecord(record)}"`);
}

function tellAnswer(answer: DnsAnswer<DnsRecord>): Told {
  return tell(answer, showRecord);
}

function tell(answer: DnsAnswer<DnsRecord>, show: (record: DnsRecord) => string): Told {
  if (answer.kind !== "found") {
    return { result: answer.kind === "temporary" ? "error" : "not found", value: answer.text };
  }
  const records = answer.records.slice(0, MAX_SHOWN).map(show).join(", ");
  return { result: "found", value: answer.records.length > MAX_SHOWN ? `${records}, ...` : records };
}

function showRecord(record: DnsRecord): string {
  if (typeof record === "string") return record;
  return "address" in record ? record.address : `${record.preference} ${record.exchange || "."}`;
}
