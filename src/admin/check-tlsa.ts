/** admin/check-tlsa.ts: whether the TLSA records of this server (RFC 7672) are those of the certificates that it shows on port 25,
 *  and signed. A record that does not match keeps mail away. */
import { createHash, type X509Certificate } from "node:crypto";
import { matchesTlsa, type TlsaRecord } from "../net/server-certificate.ts";
import { type DnsCheckContext, type DnsFinding, finding, unanswered } from "./dns-finding.ts";
import { zoneRecord } from "./zone-line.ts";

const PORT = 25;

export async function checkTlsa({ site, view }: DnsCheckContext): Promise<readonly DnsFinding[]> {
  const { host, domain, receives, certificates, validates } = site;
  if (!receives) return [];
  const name = `_${PORT}._tcp.${host}`;
  const [answer, mx, addresses] = await Promise.all([view.tlsa(host, PORT), view.mx(domain), view.addresses(host)]);
  if (answer.kind === "unknown") return [unanswered("TLSA", name)];
  const publish = (certificates ?? []).flatMap(([leaf]) => (leaf === undefined ? [] : [recordFor(leaf, name)]));
  if (answer.kind === "none") {
    const secure = mx.kind === "found" && mx.secure && addresses.kind === "found" && addresses.secure;
    if (secure) {
      const why = "other servers cannot tell whom they talk to (DANE)";
      return [finding("optional", "TLSA", name, { why, publish })];
    }
    const why = validates
      ? `not possible: ${domain} or ${host} is not signed (DNSSEC)`
      : "whether the zone is signed is known only from a validating resolver on this machine, or named by --resolver";
    return [finding("optional", "TLSA", name, { why })];
  }
  const found = answer.records.map(shown);
  if (validates && !answer.secure) {
    const why = "the answer is not signed and valid (DNSSEC), so nobody reads it";
    return [finding("wrong", "TLSA", name, { found, why })];
  }
  if (certificates === undefined) {
    return [finding("unknown", "TLSA", name, { found, why: "the certificate of the server cannot be read here" })];
  }
  if (certificates.length === 0) {
    const why = "the server offers no TLS on its port for other servers: those that go by DANE do not deliver here";
    return [finding("wrong", "TLSA", name, { found, why })];
  }
  const unmatched = certificates.filter((chain) => !answer.records.some((record) => isFor(record, chain)));
  if (unmatched.length === 0) {
    const why = validates ? "" : "whether the answer is signed (DNSSEC) cannot be told with this name server";
    return [finding("ok", "TLSA", name, { found, why })];
  }
  const why = "it is not for the certificate of this server: servers that go by DANE do not deliver here";
  return [finding("wrong", "TLSA", name, { found, why, publish })];
}

/** RFC 7672 §3.1: usage 3 for the server's own certificate, 2 for one above it; 0 and 1 are not for mail. */
function isFor(record: TlsaRecord, [leaf, ...above]: readonly X509Certificate[]): boolean {
  if (record.usage === 3) return leaf !== undefined && matchesTlsa(leaf, record);
  return record.usage === 2 && above.some((certificate) => matchesTlsa(certificate, record));
}

/** 3 1 1, which outlives a renewal with the same key (RFC 7672 §3.1.1). */
function recordFor(leaf: X509Certificate, name: string): string {
  const key = leaf.publicKey.export({ type: "spki", format: "der" });
  return zoneRecord(name, "TLSA", `3 1 1 ${createHash("sha256").update(key).digest("hex")}`);
}

function shown({ usage, selector, matchingType, association }: TlsaRecord): string {
  return `${usage} ${selector} ${matchingType} ${Buffer.from(association).toString("hex")}`;
}
