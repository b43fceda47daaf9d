/** admin/testdata/right-site.ts: a zone and a site that are right, and tables of what one change to them brings about. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { parseKey, publicRecord } from "../../dkim/key.ts";
import { makeSelfSigned } from "../../net/self-signed.ts";
import type { FetchPolicy } from "../check-tls-policy.ts";
import type { DkimKeyFile } from "../dkim-keys.ts";
import { checkDns } from "../dns-check.ts";
import type { DnsFinding, DnsSite } from "../dns-finding.ts";
import { DnsView } from "../dns-view.ts";
import type { MailboxState } from "../mailbox-state.ts";
import { fakeZone, type Zone } from "./zone.ts";

export const leaf = new X509Certificate(makeSelfSigned(["mail.example.org"], Date.now()).certificatePem);
export const other = new X509Certificate(makeSelfSigned(["mail.example.org"], Date.now()).certificatePem);
export const keyDigest = (certificate: X509Certificate) =>
  createHash("sha256")
    .update(certificate.publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
const pem = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
const parsed = parseKey(Buffer.from(pem));
assert.ok(!("problem" in parsed));
export const dkimText = publicRecord(parsed);

export function keyFile(state: "publish" | "sign" | "retired"): DkimKeyFile {
  const line = { line: 1, domain: "example.org", subdomains: false, selector: "k1", keyFile: "k1.pem", state };
  return { line, key: parsed as DkimKeyFile["key"], problem: undefined };
}

/** All are taken, but for these. */
export function mailboxesAre(others: Readonly<Record<string, MailboxState>>): DnsSite["mailboxes"] {
  return async (addresses) => new Map(addresses.map((one) => [one, others[one] ?? "taken"]));
}

const SERVER = { protocol: "smtp", host: "mail.example.org", mechanisms: ["PLAIN"] } as const;
export const SITE: DnsSite = {
  ...{ domain: "example.org", host: "mail.example.org", receives: true, addresses: [], relayhost: "", exchangers: [] },
  ...{ keys: [keyFile("sign")], keysProblem: undefined, milters: false, validates: true },
  account: {
    ...{ domain: "example.org", provider: "Example", login: "address", incoming: [] },
    outgoing: [
      { ...SERVER, port: 465, security: "tls" },
      { ...SERVER, port: 587, security: "starttls" },
    ],
  },
  certificates: [[leaf]],
  mailboxes: mailboxesAre({}),
};
export const V4 = "5.2.0.192.in-addr.arpa PTR";
const V6 = `5.${"0.".repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa PTR`;
export const ZONE: Zone = {
  "example.org MX": ["10 mail.example.org"],
  "mail.example.org A": ["192.0.2.5"],
  "mail.example.org AAAA": ["2001:db8::5"],
  [V4]: ["mail.example.org"],
  [V6]: ["mail.example.org"],
  "example.org TXT": ["some-token=1", "v=spf1 mx -all"],
  "mail.example.org TXT": ["v=spf1 a -all"],
  "k1._domainkey.example.org TXT": [dkimText],
  "_dmarc.example.org TXT": ["v=DMARC1; p=reject; rua=mailto:dmarc@example.org"],
  "_submissions._tcp.example.org SRV": ["0 1 465 mail.example.org"],
  "_submission._tcp.example.org SRV": ["10 1 587 mail.example.org"],
  "_25._tcp.mail.example.org TLSA": [`3 1 1 ${keyDigest(leaf)}`],
  "_mta-sts.example.org TXT": ["v=STSv1; id=1"],
  "mta-sts.example.org A": ["192.0.2.6"],
  "_smtp._tls.example.org TXT": ["v=TLSRPTv1; rua=mailto:tls@example.org"],
  "example.org CAA": ["issue letsencrypt.org"],
};
export const POLICY = "version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 86400\n";

export interface Change {
  readonly zone?: Zone;
  readonly site?: Partial<DnsSite>;
  readonly secure?: boolean;
  readonly policy?: Awaited<ReturnType<FetchPolicy>>;
}

export async function check({ zone = {}, site = {}, secure = true, policy = { text: POLICY } }: Change) {
  const stub = fakeZone({ ...ZONE, ...zone }, { secure });
  const parts = { view: new DnsView(stub), fetchPolicy: async () => policy, nowMs: Date.UTC(2026, 10, 24, 1, 2, 3) };
  return { ...(await checkDns({ ...SITE, ...site }, parts)), asked: stub.asked };
}

export type Row = Change & {
  readonly why: string;
  /** Of the only finding that is not ok or optional; "optional …": of an optional one. */
  readonly want: string;
  readonly says?: RegExp;
  readonly publish?: readonly string[];
};

function isProblem({ state }: DnsFinding): boolean {
  return state !== "ok" && state !== "optional";
}


/** One change, and the finding that follows from it. */
export function testRows(groups: Readonly<Record<string, readonly Row[]>>): void {
  for (const [name, rows] of Object.entries(groups)) {
    describe(`checkDns() ${name}`, () => {
      for (const { want, says, publish, why, ...change } of rows) {
        test(why, async () => {
          const { findings } = await check(change);
          // What else follows from the change is not this row's business.
          const topic = want.split(" ")[1];
          const isWanted = want.startsWith("optional ") ? ({ state }: DnsFinding) => state !== "ok" : isProblem;
          const relevant = findings.filter((one) => one.topic === topic && isWanted(one));
          const [found] = relevant;
          assert.deepEqual(
            relevant.map(({ state, topic, name: at }) => `${state} ${topic} ${at}`),
            [want],
          );
          if (says) assert.match(found?.why ?? "", says);
          if (publish) assert.deepEqual(found?.publish, publish);
        });
      }
    });
  }
}
