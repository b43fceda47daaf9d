/** test/interop/spf-suite.ts: the test suite of RFC 7208 (openspf.org, release 2014.04), as Debian's python3-spf ships it, in our terms. It is read
 *  where it is installed: nothing of it is kept here. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Answer } from "dns-packet";
import type { Zone } from "../../src/dns/testdata/zone-server.ts";

const SUITE = "/usr/share/doc/python3-spf/rfc7208-tests.yml.gz";
const READ = `import gzip, json, yaml; print(json.dumps(list(yaml.safe_load_all(gzip.open("${SUITE}")))))`;

export interface SpfTest {
  readonly name: string;
  readonly helo: string;
  readonly host: string;
  readonly mailfrom: string;
  /** Any of them will do. */
  readonly results: readonly string[];
}

export interface SpfScenario {
  readonly description: string;
  readonly tests: readonly SpfTest[];
  readonly zone: Zone;
}

type Entry = "TIMEOUT" | Readonly<Record<string, unknown>>;

interface RawScenario {
  readonly description: string;
  readonly tests: Readonly<
    Record<string, { helo: string; host: string; mailfrom: string | null; result: string | string[] }>
  >;
  readonly zonedata: Readonly<Record<string, readonly Entry[]>>;
}

export function hasSpfSuite(): boolean {
  return existsSync(SUITE) && existsSync("/usr/lib/python3/dist-packages/yaml");
}

export function readSpfSuite(): readonly SpfScenario[] {
  const text = execFileSync("/usr/bin/python3", ["-c", READ], { encoding: "utf8", maxBuffer: 16 << 20 });
  return (JSON.parse(text) as RawScenario[]).map(({ description, tests, zonedata }) => ({
    description,
    tests: Object.entries(tests).map(([name, { helo, host, mailfrom, result }]) => ({
      ...{ name, helo, host, mailfrom: mailfrom ?? "" },
      results: [result].flat(),
    })),
    zone: zoneOf(zonedata),
  }));
}

const TYPES = ["A", "AAAA", "MX", "TXT", "PTR", "CNAME"] as const;
type Type = (typeof TYPES)[number];

function zoneOf(zonedata: RawScenario["zonedata"]): Zone {
  const names = new Map(Object.entries(zonedata).map(([name, entries]) => [name.toLowerCase(), entries] as const));
  const zone: Record<string, Zone[string]> = {};
  for (const name of names.keys()) {
    for (const type of TYPES) {
      const found = recordsOf(names, name, type);
      zone[`${name} ${type}`] = found === "TIMEOUT" ? { rcode: 2 } : { answers: found };
    }
  }
  return zone;
}

/** Records of one type, those behind aliases too. "TIMEOUT": the server does not answer. */
function recordsOf(names: ReadonlyMap<string, readonly Entry[]>, name: string, type: Type): Answer[] | "TIMEOUT" {
  const entries = names.get(name) ?? [];
  const found = entries.flatMap((entry) => (entry === "TIMEOUT" ? [] : valuesOf(entry, type, entries)));
  if (found.every((value) => value === "NONE") && entries.includes("TIMEOUT")) return "TIMEOUT";
  if (found.includes("TIMEOUT")) return "TIMEOUT";
  const answers = found.filter((value) => value !== "NONE").map((value) => answerOf(name, type, value));
  const alias = type === "CNAME" ? undefined : entries.find((entry) => entry !== "TIMEOUT" && "CNAME" in entry);
  if (alias === undefined || alias === "TIMEOUT") return answers;
  const target = String(alias.CNAME).toLowerCase();
  const behind = recordsOf(names, target, type);
  return behind === "TIMEOUT" ? behind : [answerOf(name, "CNAME", target), ...behind];
}

/** SPF records stand for TXT records, where the suite gives no TXT record of their own. */
function valuesOf(entry: Exclude<Entry, "TIMEOUT">, type: Type, all: readonly Entry[]): readonly unknown[] {
  if (type in entry) return [entry[type]];
  const own = all.some((one) => one !== "TIMEOUT" && "TXT" in one);
  return type === "TXT" && !own && "SPF" in entry ? [entry.SPF] : [];
}

function answerOf(name: string, type: Type, value: unknown): Answer {
  const base = { name, ttl: 60 };
  if (type === "MX") {
    const [preference, exchange] = value as [number, string];
    return { ...base, type, data: { preference, exchange } };
  }
  if (type === "TXT") {
    const strings = [value].flat().map((text) => Buffer.from(String(text)));
    // A record without any string cannot be sent.
    return { ...base, type, data: strings.length === 0 ? [Buffer.alloc(0)] : strings };
  }
  return { ...base, type, data: String(value) } as Answer;
}
