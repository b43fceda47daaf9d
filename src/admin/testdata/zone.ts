/** admin/testdata/zone.ts: DNS from a table, in the notation of zone files, at the edge where the stub resolver stands. */
import type { Answer } from "dns-packet";
import { NO_RECORD, TEMPORARY } from "../../dns/failure.ts";
import type { StubType } from "../../dns/stub.ts";
import type { Asks } from "../dns-view.ts";

/** By "name TYPE": the records' data. "?": nobody answers. */
export type Zone = Readonly<Record<string, readonly string[] | "?">>;

export interface FakeZone extends Asks {
  /** "name TYPE", in order. */
  readonly asked: readonly string[];
}

export function fakeZone(zone: Zone, { secure = false } = {}): FakeZone {
  const asked: string[] = [];
  return {
    asked,
    async ask(name, type) {
      asked.push(`${name} ${type}`);
      const found = zone[`${name} ${type}`];
      if (found === "?") return TEMPORARY;
      if (found === undefined || found.length === 0) return NO_RECORD;
      const records = found.map((text) => ({ type, name, ttl: 300, data: dataOf(type, text) }) as Answer);
      return { kind: "found", records, secure, canonical: name, ttlMs: 300_000 };
    },
  };
}

function dataOf(type: StubType, text: string): unknown {
  const [first = "", second = "", third = "", fourth = ""] = text.split(" ");
  switch (type) {
    case "MX":
      return { preference: Number(first), exchange: second };
    case "SRV":
      return { priority: Number(first), weight: Number(second), port: Number(third), target: fourth };
    case "TLSA":
      return {
        usage: Number(first),
        selector: Number(second),
        matchingType: Number(third),
        certificate: Buffer.from(fourth, "hex"),
      };
    case "CAA":
      return { flags: 0, tag: first, value: text.slice(first.length + 1) };
    case "TXT":
      // As two strings, which belong together.
      return [Buffer.from(text.slice(0, 3), "latin1"), Buffer.from(text.slice(3), "latin1")];
    default:
      return text;
  }
}
