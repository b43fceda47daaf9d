/** access/golden-dns.ts: the name service of the scripts in testdata/, for golden-script.ts only: what the lines `dns TYPE NAME
 *  VALUE` state, "no such name" for what nobody states, "no such record" where the name has others. */
import type { Dns, DnsAnswer, DnsFailure } from "../dns/resolver.ts";

const NOT_FOUND: DnsFailure = { kind: "notFound", text: "Host not found" };
const NO_DATA: DnsFailure = { kind: "noData", text: "Host found but no data record of requested type" };
const TEMPORARY: DnsFailure = { kind: "temporary", text: "Host not found, try again" };

export class GoldenDns {
  readonly #records = new Map<string, Map<string, string[]>>();
  /** "name", or "name TYPE". */
  readonly #failing = new Set<string>();
  #present = true;

  /** One `dns` line without its first word. */
  set(rest: string): void {
    const [first = "", name = "", value = ""] = /^(\S+)\s*(\S*)\s*(.*)$/.exec(rest)?.slice(1) ?? [];
    if (first === "off" || first === "on") this.#present = first === "on";
    else if (first === "fail") this.#failing.add(`${name} ${value}`.trim());
    else if (first === "mend") this.#failing.delete(`${name} ${value}`.trim());
    else if (first === "forget") this.#records.delete(name);
    else this.#add(first, name, value);
  }

  /** The service, or undefined behind `dns off`. */
  get service(): Dns | undefined {
    return this.#present ? this.#service() : undefined;
  }

  #add(type: string, name: string, value: string): void {
    const types = this.#records.get(name) ?? new Map<string, string[]>();
    this.#records.set(name, types);
    types.set(type, [...(types.get(type) ?? []), value]);
  }

  #ask(given: string, type: string): DnsAnswer<string> {
    const name = given.toLowerCase().replace(/\.$/, "");
    if (this.#failing.has(name) || this.#failing.has(`${name} ${type}`)) return TEMPORARY;
    const types = this.#records.get(name);
    if (!types) return NOT_FOUND;
    const records = types.get(type);
    return records ? { kind: "found", records } : NO_DATA;
  }

  #service(): Dns {
    return {
      mx: async (domain) => {
        const answer = this.#ask(domain, "MX");
        return answer.kind === "found" ? { kind: "found", records: answer.records.map(parseMx) } : answer;
      },
      addresses: async (host) => this.#addresses(host),
      reverse: async () => NOT_FOUND,
      ns: async (domain) => this.#ask(domain, "NS"),
      txt: async (name) => this.#ask(name, "TXT"),
      records: async (name, family) => this.#ask(name, family === 4 ? "A" : "AAAA"),
      close: () => {},
    };
  }

  #addresses(host: string): DnsAnswer<{ readonly address: string; readonly family: 4 | 6 }> {
    const found = ([4, 6] as const).flatMap((family) => {
      const answer = this.#ask(host, family === 4 ? "A" : "AAAA");
      return answer.kind === "found" ? answer.records.map((address) => ({ address, family })) : [];
    });
    if (found.length > 0) return { kind: "found", records: found };
    const failure = this.#ask(host, "A");
    return failure.kind === "found" ? NO_DATA : failure;
  }
}

function parseMx(value: string) {
  const [preference = "", exchange = ""] = value.split(" ");
  return { preference: Number(preference), exchange: exchange === "." ? "" : exchange };
}
