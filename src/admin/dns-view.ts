/** admin/dns-view.ts: DNS as the world sees it, for `postern dns check`: no hosts file, every question asked once, answers that say
 *  whether they are signed. */
import type { Answer } from "dns-packet";
import { canonicalIp, parseAddress } from "../base/cidr.ts";
import { queryName, reverseName } from "../dns/create.ts";
import type { DnsFailure, MxRecord } from "../dns/resolver.ts";
import { bare, type StubRecords, type StubType } from "../dns/stub.ts";
import type { TlsaRecord } from "../net/server-certificate.ts";

/** What there is at a name. */
export type Looked<T> =
  | { readonly kind: "found"; readonly records: readonly T[]; readonly secure: boolean }
  | { readonly kind: "none" }
  /** No name server said anything. */
  | { readonly kind: "unknown" };

export interface SrvAnswer {
  readonly priority: number;
  readonly port: number;
  /** "": not offered. */
  readonly target: string;
}

export interface CaaAnswer {
  readonly tag: string;
  readonly value: string;
}

export interface Asks {
  ask(name: string, type: StubType): Promise<StubRecords | DnsFailure>;
}

/** Never rejects. Names as they stand in records; what is no name has no records. */
export class DnsView {
  readonly #stub: Asks;
  readonly #asked = new Map<string, Promise<StubRecords | DnsFailure>>();

  constructor(stub: Asks) {
    this.#stub = stub;
  }

  /** The strings of each joined. */
  txt(name: string): Promise<Looked<string>> {
    return this.#look(name, "TXT", (answer) => {
      if (answer.type !== "TXT") return undefined;
      const { data } = answer;
      const strings: readonly (string | Uint8Array)[] = Array.isArray(data) ? data : [data];
      return strings.map((one) => (typeof one === "string" ? one : Buffer.from(one).toString("latin1"))).join("");
    });
  }

  /** An empty exchange is that of a null MX (RFC 7505). */
  mx(domain: string): Promise<Looked<MxRecord>> {
    return this.#look(domain, "MX", (answer) =>
      answer.type === "MX"
        ? { preference: answer.data.preference ?? 0, exchange: bare(answer.data.exchange) }
        : undefined,
    );
  }

  /** IPv4 first. Found, if there is one of either kind; unknown, if there may be. */
  async addresses(host: string): Promise<Looked<string>> {
    const [four, six] = await Promise.all([this.#ofType(host, "A"), this.#ofType(host, "AAAA")]);
    const found = [four, six].filter((looked) => looked.kind === "found");
    if (found.length > 0) {
      const secure = found.every((looked) => looked.secure);
      return { kind: "found", records: found.flatMap(({ records }) => records), secure };
    }
    return four.kind === "unknown" || six.kind === "unknown" ? { kind: "unknown" } : { kind: "none" };
  }

  /** Of one kind alone. */
  records(host: string, type: "A" | "AAAA"): Promise<Looked<string>> {
    return this.#ofType(host, type);
  }

  /** The names of an address, lower case without final dot. */
  async names(address: string): Promise<Looked<string>> {
    const ip = parseAddress(address);
    if (ip === undefined) return { kind: "none" };
    return this.#look(reverseName(ip), "PTR", (answer) =>
      answer.type === "PTR" && typeof answer.data === "string" ? bare(answer.data) : undefined,
    );
  }

  srv(name: string): Promise<Looked<SrvAnswer>> {
    return this.#look(name, "SRV", (answer) => {
      if (answer.type !== "SRV") return undefined;
      const { priority = 0, port, target } = answer.data;
      return { priority, port, target: bare(target) };
    });
  }

  tlsa(host: string, port: number): Promise<Looked<TlsaRecord>> {
    return this.#look(`_${port}._tcp.${host}`, "TLSA", (answer) => {
      if (answer.type !== "TLSA") return undefined;
      const { usage, selector, matchingType, certificate } = answer.data;
      return { usage, selector, matchingType, association: Buffer.from(certificate) };
    });
  }

  caa(name: string): Promise<Looked<CaaAnswer>> {
    return this.#look(name, "CAA", (answer) =>
      answer.type === "CAA" ? { tag: answer.data.tag.toLowerCase(), value: answer.data.value } : undefined,
    );
  }

  /** Where the name itself is an alias for. */
  alias(name: string): Promise<Looked<string>> {
    return this.#look(name, "CNAME", (answer) =>
      answer.type === "CNAME" && typeof answer.data === "string" ? bare(answer.data) : undefined,
    );
  }

  #ofType(host: string, type: "A" | "AAAA"): Promise<Looked<string>> {
    return this.#look(host, type, (answer) =>
      answer.type === type && typeof answer.data === "string" ? (canonicalIp(answer.data) ?? answer.data) : undefined,
    );
  }

  async #look<T>(given: string, type: StubType, read: (answer: Answer) => T | undefined): Promise<Looked<T>> {
    const name = queryName(given);
    if (name === undefined) return { kind: "none" };
    const key = `${name} ${type}`;
    const asked = this.#asked.get(key) ?? this.#stub.ask(name, type);
    this.#asked.set(key, asked);
    const answer = await asked;
    if (answer.kind === "temporary") return { kind: "unknown" };
    if (answer.kind !== "found") return { kind: "none" };
    const records = answer.records.flatMap((record) => read(record) ?? []);
    return records.length > 0 ? { kind: "found", records, secure: answer.secure } : { kind: "none" };
  }
}
