/** admin/dmarc-record.ts: the text of a DMARC record (RFC 9989 §4.7). Pure. */

export interface DmarcRecord {
  readonly policy: "none" | "quarantine" | "reject";
  /** Domains of the addresses that reports go to, lower case. */
  readonly reportDomains: readonly string[];
  readonly reportsTo: readonly string[];
  /** Why receivers pass the record over, or a part of it. */
  readonly problems: readonly string[];
  readonly remarks: readonly string[];
}

const POLICIES: ReadonlySet<string> = new Set(["none", "quarantine", "reject"]);
const KNOWN: ReadonlyMap<string, RegExp> = new Map([
  ["p", /^(?:none|quarantine|reject)$/i],
  ["sp", /^(?:none|quarantine|reject)$/i],
  ["np", /^(?:none|quarantine|reject)$/i],
  ["adkim", /^[rs]$/i],
  ["aspf", /^[rs]$/i],
  ["fo", /^[01ds](?::[01ds])*$/i],
  ["psd", /^[ynu]$/i],
  ["t", /^[yn]$/i],
  ["rua", /./],
  ["ruf", /./],
]);
/** Of RFC 7489; no longer read. */
const HISTORIC: ReadonlySet<string> = new Set(["pct", "rf", "ri"]);

export function isDmarc(text: string): boolean {
  return /^v\s*=\s*DMARC1\s*(?:;|$)/.test(text);
}

export function parseDmarc(text: string): DmarcRecord {
  const problems: string[] = [];
  const remarks: string[] = [];
  const tags = new Map<string, string>();
  for (const part of text.split(";").slice(1)) {
    if (part.trim() === "") continue;
    const [, name = "", value = ""] = /^\s*([a-z]+)\s*=\s*(.*?)\s*$/is.exec(part) ?? [];
    const tag = name.toLowerCase();
    if (tag === "") problems.push(`"${part.trim()}" is no tag=value`);
    else if (tags.has(tag)) problems.push(`${tag}= is there twice`);
    else if (HISTORIC.has(tag)) remarks.push(`${tag}= is no longer read (RFC 9989)`);
    else if (!KNOWN.has(tag)) remarks.push(`${tag}= is no tag of DMARC`);
    else if (!KNOWN.get(tag)?.test(value)) problems.push(`${tag}=${value} has no meaning`);
    tags.set(tag, value);
  }
  const uris = [...uriList(tags.get("rua")), ...uriList(tags.get("ruf"))];
  for (const uri of uris) if (reportDomain(uri) === undefined) problems.push(`"${uri}" is no mailto: address`);
  const policy = tags.get("p")?.toLowerCase();
  if (policy === undefined) problems.push("it has no p=, so it asks for nothing");
  return {
    policy: policy !== undefined && POLICIES.has(policy) ? (policy as DmarcRecord["policy"]) : "none",
    reportDomains: [...new Set(uris.flatMap((uri) => reportDomain(uri) ?? []))],
    reportsTo: uriList(tags.get("rua")),
    problems,
    remarks,
  };
}

function uriList(value: string | undefined): readonly string[] {
  return (value ?? "")
    .split(",")
    .map((uri) => uri.trim())
    .filter((uri) => uri !== "");
}

/** The old suffix `!10m` is allowed. */
function reportDomain(uri: string): string | undefined {
  return /^mailto:[^@\s]+@([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?:!\d+[kmgt]?)?$/i.exec(uri)?.[1]?.toLowerCase();
}
