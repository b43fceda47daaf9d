/** admin/spf-record.ts: the text of an SPF record (RFC 7208 §4.5, §5, §12): whether it can be read, and what it says of everybody
 *  else. What it means for an address is for an evaluator to say. Pure. */
import { parseAddress } from "../base/cidr.ts";

export interface SpfRecord {
  /** How it ends for addresses that nothing matches; undefined: without a word. */
  readonly all: "+" | "-" | "~" | "?" | "redirect" | undefined;
  /** Why verifiers call it an error. */
  readonly problems: readonly string[];
  /** What works and should not be there. */
  readonly remarks: readonly string[];
}

const MECHANISMS: ReadonlySet<string> = new Set(["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"]);
const NEEDS_DOMAIN: ReadonlySet<string> = new Set(["include", "exists"]);

export function isSpf(text: string): boolean {
  return /^v=spf1(?: |$)/i.test(text);
}

export function parseSpf(text: string): SpfRecord {
  const problems: string[] = [];
  const remarks: string[] = [];
  let all: SpfRecord["all"];
  const terms = text
    .split(/ +/)
    .slice(1)
    .filter((term) => term !== "");
  for (const term of terms) {
    const modifier = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(term);
    if (modifier) {
      const name = (modifier[1] ?? "").toLowerCase();
      if (name === "redirect") all ??= "redirect"; // behind "all" it is not read (§6.1)
      if ((name === "redirect" || name === "exp") && modifier[2] === "") problems.push(`"${term}" names no domain`);
      continue;
    }
    const [, qualifier = "", name = "", value = ""] = /^([+\-~?]?)([a-z0-9]+)(.*)$/i.exec(term) ?? [];
    const mechanism = name.toLowerCase();
    const problem = mechanismProblem(mechanism, value);
    if (problem !== undefined) problems.push(`"${term}" ${problem}`);
    if (mechanism === "ptr") remarks.push('"ptr" is slow and should not be used (§5.5)');
    if (all !== undefined && all !== "redirect") remarks.push(`"${term}" stands behind "all" and is never read`);
    else if (mechanism === "all") all = (qualifier || "+") as "+" | "-" | "~" | "?";
  }
  return { all, problems, remarks };
}

function mechanismProblem(name: string, value: string): string | undefined {
  if (!MECHANISMS.has(name)) return "is no mechanism";
  if (name === "all") return value === "" ? undefined : "takes no value";
  if (name === "ip4" || name === "ip6") return addressProblem(name, value);
  if (NEEDS_DOMAIN.has(name) && !/^:\S+$/.test(value)) return "names no domain";
  return /^(?::[^\s/:]+)?(?:\/\d{1,2})?(?:\/\/\d{1,3})?$/.test(value) || NEEDS_DOMAIN.has(name) || name === "ptr"
    ? undefined
    : "cannot be read";
}

function addressProblem(name: "ip4" | "ip6", value: string): string | undefined {
  const [, address = "", length] = /^:([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i.exec(value) ?? [];
  const ip = parseAddress(address);
  const bits = name === "ip4" ? 32 : 128;
  const fits = ip !== undefined && address.includes(":") === (name === "ip6");
  return fits && Number(length ?? 0) <= bits ? undefined : "is no address";
}

/** The record with these addresses in front of what it says of everybody else. */
export function withAddresses(text: string, addresses: readonly string[]): string {
  const terms = text.split(/ +/).filter((term) => term !== "");
  const added = addresses.map((address) => `${address.includes(":") ? "ip6" : "ip4"}:${address}`);
  const end = terms.findIndex((term) => /^(?:[+\-~?]?all$|redirect=)/i.test(term));
  return terms.toSpliced(end < 0 ? terms.length : end, 0, ...added).join(" ");
}

/** The record with another end. */
export function withAll(text: string, all: "~all" | "-all"): string {
  const terms = text.split(/ +/).filter((term) => term !== "" && !/^[+\-~?]?all$/i.test(term));
  return [...terms, all].join(" ");
}
