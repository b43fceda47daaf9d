/** dkim/published.ts: whether what DNS has is what a key needs (RFC 6376 §3.6.1). */

export type Published =
  | { readonly kind: "right" }
  | { readonly kind: "missing" }
  | { readonly kind: "unknown"; readonly why: string }
  /** There is a record, and signatures would not verify with it. */
  | { readonly kind: "wrong"; readonly why: string };

/** `texts`: the TXT records at the key's name, each with its strings joined. `wanted`: what should stand there. */
export function comparePublished(texts: readonly string[], wanted: string): Published {
  const records = texts.map(tagsOf).filter((tags) => tags.has("p"));
  if (records.length === 0) return { kind: "missing" };
  // §3.6.2.2: of several records verifiers may take any.
  if (records.length > 1) return { kind: "wrong", why: "there are several records; only one may stand there" };
  const [found] = records;
  const tags = tagsOf(wanted);
  if (found?.get("p") === "") return { kind: "wrong", why: "the key is revoked (p= is empty)" };
  if (found?.get("p") !== tags.get("p")) return { kind: "wrong", why: "it is another key" };
  if ((found?.get("k") ?? "rsa") !== tags.get("k")) return { kind: "wrong", why: `k=${found?.get("k") ?? "rsa"}` };
  if ((found?.get("v") ?? "DKIM1") !== "DKIM1") return { kind: "wrong", why: `v=${found?.get("v")}` };
  const hashes = found?.get("h");
  if (hashes !== undefined && !hashes.split(":").includes("sha256")) return { kind: "wrong", why: `h=${hashes}` };
  if (found?.get("t")?.split(":").includes("y")) return { kind: "wrong", why: "t=y says that it is only a test" };
  return { kind: "right" };
}

/** White space does not count, neither in a record that was split nor around signs. */
function tagsOf(record: string): ReadonlyMap<string, string> {
  const tags = record.split(";").map((tag) => {
    const sign = tag.indexOf("=");
    return [tag.slice(0, sign).trim(), tag.slice(sign + 1).replace(/\s+/g, "")] as const;
  });
  return new Map(tags.filter(([name]) => name !== ""));
}
