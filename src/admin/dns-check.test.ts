/** admin/dns-check.test.ts: what is said of each record, right, wrong and missing: one change to a zone or a site that is right,
 *  and what follows. TLS and account discovery are in dns-check-tls.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Change, check, dkimText, keyFile, POLICY, type Row, testRows, V4, ZONE } from "./testdata/right-site.ts";
import type { Zone } from "./testdata/zone.ts";

test("checkDns() finds nothing wrong with a site that is right, and asks each question once", async () => {
  const { findings, addresses, asked } = await check({});
  assert.deepEqual(
    findings.map(({ state, topic, why }) => `${state} ${topic} ${why}`.trim()),
    `MX A PTR PTR SPF SPF DKIM DMARC SRV SRV TLSA MTA-STS MTA-STS TLSRPT CAA MAILBOX`
      .split(" ")
      .map((topic) => (topic === "CAA" ? "ok CAA certificates come from no other CA" : `ok ${topic}`)),
  );
  assert.deepEqual(addresses, ["192.0.2.5", "2001:db8::5"]);
  assert.equal(new Set(asked).size, asked.length);
});

const MX: readonly Row[] = [
  {
    zone: { "example.org MX": [], "example.org A": ["192.0.2.9"] },
    want: "missing MX example.org",
    publish: ["example.org. IN MX 10 mail.example.org."],
    why: "none",
  },
  {
    zone: { "example.org MX": ["0 "] },
    want: "wrong MX example.org",
    says: /null MX/,
    publish: ["example.org. IN MX 10 mail.example.org."],
    why: "RFC 7505: a domain that says it takes no mail",
  },
  {
    zone: { "example.org MX": ["10 mx.example.net"], "mx.example.net A": ["198.51.100.1"] },
    want: "wrong MX example.org",
    says: /none of them is this server/,
    why: "another server",
  },
  {
    zone: { "example.org MX": ["10 mail.example.org", "20 gone.example.org"] },
    want: "wrong MX gone.example.org",
    says: /has no address/,
    why: "a host that is gone",
  },
  {
    zone: { "example.org MX": ["10 mail.example.org", "20 mx2.example.org"], "mx2.example.org CNAME": ["x.test"] },
    want: "wrong MX mx2.example.org",
    says: /alias \(it leads to x\.test\)/,
    why: "RFC 2181 §10.3: an alias",
  },
  {
    zone: { "example.org MX": ["10 mail.example.org", "20 192.0.2.5"] },
    want: "wrong MX 192.0.2.5",
    says: /not an address/,
    why: "an address",
  },
  {
    zone: { "example.org MX": ["10 mail.example.org", "20 b.test"], "b.test A": "?" },
    want: "unknown MX b.test",
    why: "a host that nobody answers for",
  },
];

const ADDRESSES: readonly Row[] = [
  {
    zone: { [V4]: [] },
    want: "missing PTR 5.2.0.192.in-addr.arpa",
    publish: ["5.2.0.192.in-addr.arpa. IN PTR mail.example.org."],
    why: "an address without a name",
  },
  {
    zone: { [V4]: ["host5.isp.test"], "host5.isp.test A": ["192.0.2.77"] },
    want: "wrong PTR 5.2.0.192.in-addr.arpa",
    says: /does not lead back to 192\.0\.2\.5/,
    why: "a name that leads elsewhere",
  },
  { zone: { [V4]: "?" }, want: "unknown PTR 5.2.0.192.in-addr.arpa", why: "no answer" },
  {
    zone: {
      "mail.example.org A": [],
      "mail.example.org AAAA": [],
      "example.org MX": ["10 mx.test"],
      "mx.test A": ["192.0.2.5"],
      "mail.example.org TXT": ["v=spf1 ip4:192.0.2.5 -all"],
      [V4]: ["mx.test"],
    },
    site: { addresses: ["192.0.2.5"] },
    want: "missing A mail.example.org",
    says: /EHLO/,
    publish: ["mail.example.org. IN A 192.0.2.5"],
    why: "myhostname has no address",
  },
];

const spf = (text: string, ...more: readonly string[]): Zone => ({ "example.org TXT": [text, ...more] });
const HOSTS = Object.fromEntries(Array.from({ length: 11 }, (_one, i) => [`h${i}.test A`, ["198.51.100.1"]]));
const ELEVEN = Array.from({ length: 11 }, (_one, i) => `a:h${i}.test`).join(" ");
const SPF: readonly Row[] = [
  {
    zone: { "example.org TXT": ["some-token=1"] },
    want: "missing SPF example.org",
    publish: ['example.org. IN TXT "v=spf1 ip4:192.0.2.5 ip6:2001:db8::5 ~all"'],
    why: "SPF-01: none",
  },
  {
    zone: spf("v=spf1 ip4:192.0.2.5 -all"),
    want: "wrong SPF example.org",
    says: /^2001:db8::5, which mail leaves from, is not covered \(fail\)$/,
    publish: ['example.org. IN TXT "v=spf1 ip4:192.0.2.5 ip6:2001:db8::5 -all"'],
    why: "SPF-01: one of two addresses",
  },
  {
    zone: spf("v=spf1 include:_spf.test -all"),
    want: "wrong SPF example.org",
    says: /^verifiers give up/,
    publish: ['example.org. IN TXT "v=spf1 include:_spf.test -all"'],
    why: "an include that leads nowhere",
  },
  {
    zone: spf("v=spf1 mx +all"),
    want: "wrong SPF example.org",
    says: /^\+all lets everybody send/,
    publish: ['example.org. IN TXT "v=spf1 mx ~all"'],
    why: "everybody",
  },
  {
    zone: spf("v=spf1 mx all"),
    want: "wrong SPF example.org",
    says: /^\+all lets everybody/,
    why: "the same, tersely",
  },
  { zone: spf("v=spf1 mx ?all"), want: "wrong SPF example.org", says: /neither yes nor no/, why: "nobody" },
  { zone: spf("v=spf1 mx"), want: "wrong SPF example.org", says: /without "all"/, why: "no end" },
  {
    zone: spf("v=spf1 mx -all", "v=spf1 a -all"),
    want: "wrong SPF example.org",
    says: /several records/,
    publish: ['example.org. IN TXT "v=spf1 mx -all"'],
    why: "two records",
  },
  {
    zone: spf("v=spf1 mx ip:192.0.2.1 -all"),
    want: "wrong SPF example.org",
    says: /"ip:192.0.2.1" is no mechanism/,
    why: "a misspelt word",
  },
  {
    zone: { ...HOSTS, ...spf(`v=spf1 ${ELEVEN} mx -all`) },
    want: "wrong SPF example.org",
    says: /^verifiers give up \(permerror\): Too many DNS requests$/,
    why: "SPF-01: more than ten lookups",
  },
  { zone: { "example.org TXT": "?" }, want: "unknown SPF example.org", why: "no answer" },
  {
    zone: { ...spf("v=spf1 include:_spf.test -all"), "_spf.test TXT": "?" },
    want: "unknown SPF example.org",
    why: "no answer for an include",
  },
  {
    zone: { "mail.example.org TXT": ["v=spf1 -all"] },
    want: "wrong SPF mail.example.org",
    says: /receivers refuse bounces/,
    publish: ['mail.example.org. IN TXT "v=spf1 a -all"'],
    why: "SPF-01: HELO: a host that says it sends nothing",
  },
];

const HOST_SPF: readonly Row[] = [
  {
    zone: { "mail.example.org TXT": [] },
    want: "optional SPF mail.example.org",
    says: /^bounces have no sender/,
    publish: ['mail.example.org. IN TXT "v=spf1 a -all"'],
    why: "SPF-01: HELO: none",
  },
  {
    zone: { "mail.example.org TXT": [], ...spf("v=spf1 ip4:203.0.113.7 -all"), "7.113.0.203.in-addr.arpa PTR": "?" },
    site: { addresses: ["203.0.113.7"] },
    want: "optional SPF mail.example.org",
    publish: ['mail.example.org. IN TXT "v=spf1 ip4:203.0.113.7 -all"'],
    why: "SPF-01: HELO: none, and mail leaves from elsewhere",
  },
];

const DKIM: readonly Row[] = [
  {
    zone: { "k1._domainkey.example.org TXT": [] },
    want: "missing DKIM k1._domainkey.example.org",
    publish: [`k1._domainkey.example.org. IN TXT "${dkimText}"`],
    why: "a key that is not published",
  },
  {
    zone: { "k1._domainkey.example.org TXT": ["v=DKIM1; k=ed25519; p="] },
    want: "wrong DKIM k1._domainkey.example.org",
    says: /revoked/,
    why: "a revoked one",
  },
  {
    zone: { "k1._domainkey.example.org TXT": ["v=DKIM1; k=ed25519; p=AAAA"] },
    want: "wrong DKIM k1._domainkey.example.org",
    says: /another key/,
    why: "another one",
  },
  { zone: { "k1._domainkey.example.org TXT": "?" }, want: "unknown DKIM k1._domainkey.example.org", why: "no answer" },
  {
    zone: { "k1._domainkey.example.org TXT": [] },
    site: { keys: [keyFile("publish")] },
    want: "missing DKIM k1._domainkey.example.org",
    says: /does not sign yet/,
    why: "a key to come",
  },
  {
    site: { keys: [] },
    want: "missing DKIM _domainkey.example.org",
    says: /postern dkim generate example\.org/,
    why: "no key",
  },
  {
    site: { keys: [], keysProblem: "keys: EACCES" },
    want: "unknown DKIM _domainkey.example.org",
    says: /EACCES/,
    why: "a file that cannot be read",
  },
  {
    site: { keys: [{ ...keyFile("sign"), key: undefined, problem: "k1.pem: EACCES" }] },
    want: "unknown DKIM k1._domainkey.example.org",
    says: /EACCES/,
    why: "a key that cannot be read",
  },
];

const dmarc = (...texts: readonly string[]): Zone => ({ "_dmarc.example.org TXT": texts });
const DMARC: readonly Row[] = [
  {
    zone: dmarc(),
    want: "missing DMARC _dmarc.example.org",
    publish: ['_dmarc.example.org. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.org"'],
    why: "DMARC-01: none",
  },
  {
    zone: dmarc("v=DMARC1; p=none", "v=DMARC1; p=none"),
    want: "wrong DMARC _dmarc.example.org",
    says: /several/,
    why: "two",
  },
  {
    zone: dmarc("v=DMARC1; p=rejct; rua=mailto:d@example.org"),
    want: "wrong DMARC _dmarc.example.org",
    says: /p=rejct has no meaning/,
    publish: ['_dmarc.example.org. IN TXT "v=DMARC1; p=none; rua=mailto:d@example.org"'],
    why: "a policy that is none",
  },
  {
    zone: dmarc("v=DMARC1; rua=mailto:d@example.org"),
    want: "wrong DMARC _dmarc.example.org",
    says: /no p=/,
    why: "no policy",
  },
  {
    zone: dmarc("v=DMARC1; p=none; rua=d@example.org"),
    want: "wrong DMARC _dmarc.example.org",
    says: /"d@example.org" is no mailto:/,
    why: "an address without mailto:",
  },
  {
    zone: dmarc("v=DMARC1; p=none; p=reject"),
    want: "wrong DMARC _dmarc.example.org",
    says: /twice/,
    why: "a tag twice",
  },
  {
    zone: dmarc("v=DMARC1; p=none; rua=mailto:d@Reports.test!10m"),
    want: "missing DMARC example.org._report._dmarc.reports.test",
    says: /only if that domain says/,
    publish: ['example.org._report._dmarc.reports.test. IN TXT "v=DMARC1"'],
    why: "DMARC-02: reports to a domain that did not agree",
  },
  { zone: { "_dmarc.example.org TXT": "?" }, want: "unknown DMARC _dmarc.example.org", why: "no answer" },
];

testRows({ MX, ADDRESSES, SPF, HOST_SPF, DKIM, DMARC });

const TEN = ELEVEN.split(" ").slice(0, 9).join(" ");
const REMARKS: readonly (Change & { readonly topic: string; readonly says: RegExp; readonly why: string })[] = [
  {
    zone: { [V4]: ["host5.isp.test"], "host5.isp.test A": ["192.0.2.5"] },
    topic: "PTR",
    says: /the server calls itself mail\.example\.org/,
    why: "another name that leads back",
  },
  { zone: spf("v=spf1 mx ptr ~all"), topic: "SPF", says: /"ptr" is slow/, why: "ptr" },
  {
    zone: spf("v=spf1 -all mx ip4:192.0.2.5 ip6:2001:db8::5"),
    topic: "SPF",
    says: /not covered/,
    why: "words behind all",
  },
  {
    zone: { ...HOSTS, ...spf(`v=spf1 ${TEN} a:mail.example.org -all`) },
    topic: "SPF",
    says: /it takes 10 DNS lookups of the 10 that are allowed/,
    why: "SPF-01: no lookup is left",
  },
  {
    site: { relayhost: "[relay.test]" },
    topic: "SPF",
    says: /leaves through \[relay\.test\]/,
    why: "a relay host: its addresses are not ours",
  },
  {
    zone: dmarc("v=DMARC1; p=none; pct=50"),
    topic: "DMARC",
    says: /p=none asks.*nobody gets reports.*pct= is no longer read/,
    why: "a weak policy",
  },
  { site: { keys: [keyFile("retired")] }, topic: "DKIM", says: /signs no more/, why: "a retired key" },
  { site: { keys: [], milters: true }, topic: "DKIM", says: /milter/, why: "a milter may sign" },
  {
    policy: { text: POLICY.replace("enforce", "testing") },
    topic: "MTA-STS",
    says: /nothing is enforced/,
    why: "a policy on trial",
  },
  {
    site: { receives: false, account: undefined },
    zone: { "example.org MX": ["1 mx.test"], "mx.test A": ["198.51.100.1"], ...spf("v=spf1 a:mail.example.org -all") },
    topic: "MX",
    says: /goes elsewhere/,
    why: "a server that only sends",
  },
];
for (const { topic, says, why, ...change } of REMARKS) {
  test(`checkDns() remarks on ${topic}: ${why}`, async () => {
    const { findings } = await check(change);
    assert.match(
      findings
        .filter((one) => one.topic === topic)
        .map((one) => one.why)
        .join(" "),
      says,
    );
  });
}

test("checkDns() does not say of an unsigned answer that it is wrong where the name server does not validate", async () => {
  const { findings } = await check({ secure: false, site: { validates: false } });
  const found = findings.filter(({ topic }) => topic === "TLSA");
  assert.deepEqual(
    found.map(({ state }) => state),
    ["ok"],
  );
  assert.match(found[0]?.why ?? "", /cannot be told/);
});

test("checkDns() takes a host in front of this server for ours where the operator says so", async () => {
  const zone = { "example.org MX": ["10 mx.filter.test"], "mx.filter.test A": ["198.51.100.1"] };
  const { findings } = await check({ zone, site: { exchangers: ["mx.filter.test"] } });
  assert.equal(findings[0]?.state, "ok");
});

test("DMARC-01: a subdomain has the record of its parent, and reports within that domain need no permit", async () => {
  const { findings } = await check({
    site: { domain: "news.example.org" },
    zone: {
      "news.example.org MX": ["10 mail.example.org"],
      ...dmarc("v=DMARC1; p=reject; rua=mailto:d@reports.example.org"),
    },
  });
  const found = findings.filter(({ topic }) => topic === "DMARC");
  assert.deepEqual(
    found.map(({ state, name, why }) => `${state} ${name} ${why}`),
    ["ok _dmarc.example.org the record of example.org counts"],
  );
});

test("checkDns() asks nothing more where nobody answers", async () => {
  const { findings, asked } = await check({ zone: { "example.org MX": "?" } });
  assert.deepEqual(asked, ["example.org MX"]);
  assert.deepEqual(
    findings.map(({ state }) => state),
    ["unknown"],
  );
});

/** A line of a zone file as fakeZone() has it. */
function parseLine(line: string): readonly [string, string] {
  const [, name = "", type = "", data = ""] = /^(\S+)\. IN (\S+) (.*)$/.exec(line) ?? [];
  if (type !== "TXT") return [`${name} ${type}`, data.replace(/\.$/, "")];
  return [`${name} TXT`, [...data.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join("")];
}

test("what is to be published makes it right", async () => {
  let zone: Zone = Object.fromEntries(Object.keys(ZONE).map((key) => [key, []]));
  zone = { ...zone, "mail.example.org A": ["192.0.2.5"] };
  for (let round = 0; round < 3; round++) {
    const lines = (await check({ zone })).findings.flatMap(({ publish }) => publish).map(parseLine);
    zone = { ...zone, ...Object.fromEntries(lines.map(([key, data]) => [key, [data]])) };
    zone = { ...zone, "mta-sts.example.org A": ["192.0.2.6"] }; // a web server is not DNS
  }
  const { findings } = await check({ zone });
  assert.deepEqual(
    findings.filter(({ state }) => state !== "ok"),
    [],
  );
  assert.equal(findings.length, 14);
});
