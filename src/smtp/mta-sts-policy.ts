/** smtp/mta-sts-policy.ts: the two texts of MTA-STS (RFC 8461): the TXT record that names a policy's id, and the policy. Pure. */

export interface StsPolicy {
  readonly mode: "enforce" | "testing" | "none";
  readonly maxAgeS: number;
  /** Names of mail exchangers, `*.example.com` for any one label; lower case. */
  readonly mx: readonly string[];
}

const MAX_AGE_S = 31_557_600;
/** A policy with more exchangers is none. */
const MAX_MX = 200;
const NAME = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;

/** The id of a domain's policy by the TXT records of `_mta-sts.`; undefined: it has none (§3.1). */
export function policyId(records: readonly string[]): string | undefined {
  const own = records.filter((text) => /^v=STSv1\s*;/.test(text));
  const [text] = own;
  if (text === undefined || own.length > 1) return undefined;
  const fields = text.split(";").map((field) => field.trim());
  const id = fields.find((field) => field.startsWith("id="))?.slice(3);
  return id !== undefined && /^[A-Za-z0-9]{1,32}$/.test(id) ? id : undefined;
}

/** The policy in a file (§3.2), or why it is none. Of repeated fields the first counts; unknown ones are passed over. */
export function parseStsPolicy(text: string): StsPolicy | { readonly problem: string } {
  const fields = new Map<string, string>();
  const mx: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [, key = "", value = ""] = /^([A-Za-z0-9][A-Za-z0-9_.-]*)[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (key === "mx") mx.push(value.toLowerCase().replace(/\.$/, ""));
    else if (key !== "" && !fields.has(key)) fields.set(key, value);
  }
  if (fields.get("version") !== "STSv1") return { problem: "no version STSv1" };
  const mode = fields.get("mode");
  if (mode !== "enforce" && mode !== "testing" && mode !== "none") return { problem: "no mode" };
  const age = fields.get("max_age") ?? "";
  if (!/^\d{1,10}$/.test(age)) return { problem: "no max_age" };
  if (mode !== "none" && mx.length === 0) return { problem: "no mx" };
  if (mx.length > MAX_MX || mx.some((name) => name.length > 253 || !NAME.test(name))) return { problem: "bad mx" };
  return { mode, maxAgeS: Math.min(Number(age), MAX_AGE_S), mx };
}

/** Whether the policy knows a mail exchanger (§4.1). `host`: A-labels. */
export function allowsHost({ mx }: Pick<StsPolicy, "mx">, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  return mx.some((pattern) => {
    if (!pattern.startsWith("*.")) return pattern === name;
    const dot = name.indexOf(".");
    return dot > 0 && name.slice(dot) === pattern.slice(1);
  });
}
