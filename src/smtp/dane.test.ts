/** Tests of which TLSA records apply (RFC 7672 §2), without and with real handshakes. */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { DnsAnswer, ValidatingDns } from "../dns/resolver.ts";
import { certificatesIn } from "../net/peer-certificate.ts";
import type { TlsaRecord } from "../net/server-certificate.ts";
import { findDane, usable } from "./dane.ts";
import type { Target } from "./session.ts";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld, type RequestWords, zoneDns } from "./testdata/world.ts";

const PEM = readFileSync(new URL("../net/testdata/servers/mx.pem", import.meta.url));
const ROOT = new X509Certificate(readFileSync(new URL("../net/testdata/servers/root.pem", import.meta.url)));
const [LEAF, INTERMEDIATE] = certificatesIn(PEM.toString("latin1"));
assert.ok(LEAF && INTERMEDIATE);

function spki(certificate: X509Certificate): Buffer {
  return certificate.publicKey.export({ type: "spki", format: "der" });
}
function tlsa(usage: number, selector: number, matchingType: number, certificate: X509Certificate): TlsaRecord {
  const bytes = selector === 0 ? certificate.raw : spki(certificate);
  const hashed = (digest: string) => createHash(digest).update(bytes).digest();
  const association = matchingType === 0 ? bytes : hashed(matchingType === 1 ? "sha256" : "sha512");
  return { usage, selector, matchingType, association };
}
const EE = tlsa(3, 1, 1, LEAF);
const WRONG: TlsaRecord = { ...EE, association: Buffer.alloc(32) };
const NONE = { kind: "noData", text: "none" } as const;

/** TLSA answers by base name; anything else is absent and counts as signed. */
function dnsWith(
  tlsaOf: Readonly<Record<string, DnsAnswer<TlsaRecord>>>,
  aliasOf: Readonly<Record<string, DnsAnswer<string>>> = {},
): ValidatingDns {
  return {
    ...zoneDns({}),
    records: async () => NONE,
    tlsa: async (host, port) => tlsaOf[`${host}:${port}`] ?? NONE,
    alias: async (host) => aliasOf[host] ?? NONE,
  };
}
const found = (secure: boolean, ...records: readonly TlsaRecord[]) =>
  ({ kind: "found", records, secure, canonical: "" }) as const;

const host = (secure: boolean, canonical = "mx.test") => ({ secure, canonical });
function target(origin: Target["origin"], more: Partial<Target> = {}): Target {
  return { host: "mx.test", address: "127.0.0.1", port: 25, nexthop: "dest.test", best: true, origin, ...more };
}
const MX = { secure: true, canonical: "dest.test" };
const TEMPORARY = { kind: "temporary", text: "again" } as const;
const records = (base: string, mxSecure: boolean) => ({ kind: "records", records: [EE], base, mxSecure });

const CASES = [
  { why: "all signed (DANE-03)", target: target({ mx: MX, host: host(true) }), want: records("mx.test", true) },
  { why: "the next hop itself", target: target({ host: host(true) }), want: records("mx.test", true) },
  {
    why: "exchangers not signed, policy dane",
    target: target({ mx: { ...MX, secure: false }, host: host(true) }),
    want: records("mx.test", false),
  },
  {
    why: "exchangers not signed, policy may",
    target: target({ mx: { ...MX, secure: false }, host: host(true) }),
    mxMustBeSecure: true,
    want: { kind: "none", why: "non DNSSEC destination" },
  },
  {
    why: "addresses not signed: no lookup at all (DANE-06)",
    target: target({ mx: MX, host: host(false) }),
    dns: dnsWith({ "mx.test:25": TEMPORARY }),
    want: { kind: "none", why: "no TLSA records found" },
  },
  { why: "an address", target: target(undefined), want: { kind: "none", why: "non DNSSEC destination" } },
  {
    why: "records that are not signed",
    target: target({ host: host(true) }),
    dns: dnsWith({ "mx.test:25": found(false, EE) }),
    want: { kind: "none", why: "no TLSA records found" },
  },
  {
    why: "bogus records (DANE-01)",
    target: target({ host: host(true) }),
    dns: dnsWith({ "mx.test:25": TEMPORARY }),
    want: { kind: "failed" },
  },
  {
    why: "another port (DANE-03)",
    target: target({ host: host(true) }, { port: 26 }),
    want: { kind: "none", why: "no TLSA records found" },
  },
  {
    why: "behind an alias (DANE-03)",
    target: target({ host: host(true, "real.test") }),
    dns: dnsWith({ "real.test:25": found(true, EE), "mx.test:25": found(true, WRONG) }),
    want: records("real.test", true),
  },
  { why: "in front of an alias", target: target({ host: host(true, "real.test") }), want: records("mx.test", true) },
  {
    why: "bogus behind an alias: the host's own do not count",
    target: target({ host: host(true, "real.test") }),
    dns: dnsWith({ "real.test:25": TEMPORARY, "mx.test:25": found(true, EE) }),
    want: { kind: "failed" },
  },
  {
    why: "a signed alias of what is not",
    target: target({ host: host(false, "real.test") }),
    dns: dnsWith(
      { "mx.test:25": found(true, EE) },
      { "mx.test": { kind: "found", records: ["real.test"], secure: true } },
    ),
    want: records("mx.test", true),
  },
  {
    why: "an alias that is not signed",
    target: target({ host: host(false, "real.test") }),
    dns: dnsWith(
      { "mx.test:25": found(true, EE) },
      { "mx.test": { kind: "found", records: ["real.test"], secure: false } },
    ),
    want: { kind: "none", why: "no TLSA records found" },
  },
  {
    why: "addresses not signed, records asked for all the same",
    target: target({ host: host(false) }),
    force: true,
    want: records("mx.test", true),
  },
  {
    why: "an alias that is bogus",
    target: target({ host: host(false, "real.test") }),
    dns: dnsWith({}, { "mx.test": TEMPORARY }),
    want: { kind: "failed" },
  },
  {
    why: "nothing usable (DANE-02)",
    target: target({ host: host(true) }),
    dns: dnsWith({ "mx.test:25": found(true, { ...EE, usage: 1 }) }),
    want: { kind: "unusable" },
  },
];
for (const c of CASES) {
  test(`findDane() ${c.why}`, async () => {
    const dns = c.dns ?? dnsWith({ "mx.test:25": found(true, EE) });
    assert.deepEqual(
      await findDane(c.target, { dns, mxMustBeSecure: c.mxMustBeSecure ?? false, force: c.force ?? false }),
      c.want,
    );
  });
}

const USABLE = [
  { in: [EE, WRONG], want: [0, 1], why: "3 1 1" },
  { in: [tlsa(2, 0, 1, ROOT)], want: [0], why: "2 0 1" },
  {
    in: [
      { ...EE, usage: 0 },
      { ...EE, usage: 1 },
      { ...EE, usage: 255 },
    ],
    want: [],
    why: "PKIX usages mean nothing for SMTP (DANE-04)",
  },
  { in: [{ ...EE, selector: 2 }], want: [], why: "unknown selector" },
  { in: [{ ...EE, matchingType: 3 }], want: [], why: "unknown matching type" },
  {
    in: [
      { ...EE, association: Buffer.alloc(31) },
      { ...EE, matchingType: 2 },
    ],
    want: [],
    why: "digests of the wrong length",
  },
  {
    in: [tlsa(3, 0, 0, LEAF), tlsa(3, 1, 0, LEAF), tlsa(2, 1, 0, ROOT)],
    want: [0, 1, 2],
    why: "whole certificates and keys",
  },
  {
    in: [
      { ...EE, matchingType: 0 },
      { ...EE, selector: 0, matchingType: 0 },
    ],
    want: [],
    why: "no certificate and no key",
  },
  {
    in: [EE, tlsa(3, 1, 2, LEAF), tlsa(2, 1, 1, ROOT)],
    want: [1, 2],
    why: "the strongest digest of each usage, RFC 7671 §9",
  },
];
for (const c of USABLE) {
  test(`usable() ${c.why}`, () =>
    assert.deepEqual(
      usable(c.in),
      c.want.map((i) => c.in[i]),
    ));
}

interface Scene {
  readonly why: string;
  readonly records: DnsAnswer<TlsaRecord>;
  readonly settings?: Readonly<Record<string, string>>;
  readonly mxSecure?: boolean;
  readonly hostSecure?: boolean;
  readonly script?: PeerScript;
  readonly words?: Partial<RequestWords>;
  readonly want: string;
  /** The word in the log; undefined: no TLS. */
  readonly word?: string;
  readonly connections?: number;
}

const UNVERIFIED = "deferred 4.7.5 Server certificate not verified";
const CLEAR = { features: [] };
const SAFE = { script: { features: ["STARTTLS", "REQUIRETLS"] }, words: { requireTls: true } };
const ONLY = { smtp_tls_security_level: "dane-only" };
const SCENES: readonly Scene[] = [
  {
    why: "3 1 1 matches, SNI is the base (DANE-02, DANE-04, DANE-05)",
    records: found(true, EE),
    want: "sent",
    word: "Verified",
  },
  { why: "one of several matches", records: found(true, WRONG, tlsa(3, 0, 2, LEAF)), want: "sent", word: "Verified" },
  { why: "3 0 0, the whole certificate", records: found(true, tlsa(3, 0, 0, LEAF)), want: "sent", word: "Verified" },
  { why: "none matches", records: found(true, WRONG), want: UNVERIFIED, word: "Untrusted" },
  { ...SAFE, why: "REQ-03: REQUIRETLS, a record matches", records: found(true, EE), want: "sent", word: "Verified" },
  {
    ...SAFE,
    why: "REQ-03: REQUIRETLS, none matches",
    records: found(true, WRONG),
    want: "bounced 5.7.5 Server certificate not verified",
    word: "Untrusted",
  },
  {
    ...SAFE,
    why: "REQ-03: REQUIRETLS, the list of exchangers is not signed",
    records: found(true, EE),
    mxSecure: false,
    want: "bounced 5.7.30 REQUIRETLS is required, but nothing proves that mx.example.test is a mail exchanger of dest.test",
  },
  {
    ...SAFE,
    why: "REQ-03: REQUIRETLS, signed exchangers without records: a public certificate counts, and this is none",
    records: NONE,
    want: "bounced 5.7.5 Server certificate not verified",
    word: "Untrusted",
  },
  {
    ...SAFE,
    why: "REQ-03: REQUIRETLS, a lookup that failed may succeed later",
    records: TEMPORARY,
    want: "deferred 4.7.5 TLSA lookup error",
  },
  {
    why: "REQ-05: TLS-Required: No, none matches",
    records: found(true, WRONG),
    words: { tlsOptional: true },
    want: "sent",
    word: "Untrusted",
  },
  {
    why: "TLS is not offered (DANE-02)",
    records: found(true, EE),
    script: CLEAR,
    want: "deferred 4.7.4 TLS is required, but was not offered by host",
  },
  {
    why: "the handshake fails",
    records: found(true, EE),
    script: { brokenTls: true },
    want: "deferred 4.7.5 Cannot start TLS: handshake failure",
  },
  {
    why: "usage 3 needs no valid name or date (DANE-04)",
    records: found(true, tlsa(3, 1, 1, LEAF)),
    script: { certificate: expired() },
    want: "sent",
    word: "Verified",
  },
  {
    why: "2 0 1, an intermediate: seen once, then verified",
    records: found(true, tlsa(2, 0, 1, INTERMEDIATE)),
    want: "sent",
    word: "Verified",
    connections: 2,
  },
  {
    why: "2 1 2, its key",
    records: found(true, tlsa(2, 1, 2, INTERMEDIATE)),
    want: "sent",
    word: "Verified",
    connections: 2,
  },
  {
    why: "2 0 0, the whole anchor, not in the chain",
    records: found(true, tlsa(2, 0, 0, ROOT)),
    want: "sent",
    word: "Verified",
    connections: 1,
  },
  {
    why: "2 0 1, an anchor the server does not show",
    records: found(true, tlsa(2, 0, 1, ROOT)),
    want: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "usage 2 of the server's own certificate is no anchor",
    records: found(true, tlsa(2, 0, 1, LEAF)),
    want: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "usage 2 with an expired certificate",
    records: found(true, tlsa(2, 0, 1, INTERMEDIATE)),
    script: { certificate: expired() },
    want: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "usage 2 for another name (DANE-04)",
    records: found(true, tlsa(2, 0, 1, INTERMEDIATE)),
    script: { certificate: cnOnly() },
    want: UNVERIFIED,
    word: "Untrusted",
  },
  { why: "no records: as may", records: NONE, want: "sent", word: "Untrusted" },
  { why: "no records: clear, as may (DANE-02)", records: NONE, script: CLEAR, want: "sent" },
  {
    why: "nothing usable: encrypted (DANE-02)",
    records: found(true, { ...EE, usage: 1 }),
    want: "sent",
    word: "Untrusted",
  },
  {
    why: "nothing usable, and no TLS (DANE-02)",
    records: found(true, { ...EE, usage: 1 }),
    script: CLEAR,
    want: "deferred 4.7.4 TLS is required, but was not offered by host",
  },
  {
    why: "bogus: the mail waits (DANE-01)",
    records: TEMPORARY,
    want: "deferred 4.7.5 TLSA lookup error for mx.example.test:PORT",
  },
  {
    why: "exchangers not signed, policy dane",
    records: found(true, EE),
    mxSecure: false,
    want: "sent",
    word: "Trusted",
  },
  {
    why: "exchangers not signed, policy dane, no match",
    records: found(true, WRONG),
    mxSecure: false,
    want: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "exchangers not signed, policy encrypt",
    records: found(true, WRONG),
    mxSecure: false,
    settings: { smtp_tls_dane_insecure_mx_policy: "encrypt" },
    want: "sent",
    word: "Untrusted",
  },
  {
    why: "exchangers not signed, policy may",
    records: found(true, WRONG),
    mxSecure: false,
    settings: { smtp_tls_dane_insecure_mx_policy: "may" },
    script: CLEAR,
    want: "sent",
  },
  { why: "dane-only: matches", records: found(true, EE), settings: ONLY, want: "sent", word: "Verified" },
  { why: "dane-only: no records", records: NONE, settings: ONLY, want: "deferred 4.7.5 no TLSA records found" },
  {
    why: "dane-only: nothing usable",
    records: found(true, { ...EE, usage: 0 }),
    settings: ONLY,
    want: "deferred 4.7.5 TLSA records unusable",
  },
  {
    why: "dane-only: exchangers not signed",
    records: found(true, EE),
    mxSecure: false,
    settings: ONLY,
    want: "deferred 4.7.5 non DNSSEC destination",
  },
  {
    why: "dane without dnssec lookups: as may",
    records: found(true, WRONG),
    settings: { smtp_dns_support_level: "" },
    want: "sent",
    word: "Untrusted",
  },
  {
    why: "dane-only without dnssec lookups",
    records: found(true, EE),
    settings: { ...ONLY, smtp_dns_support_level: "" },
    want: "deferred 4.7.5 client TLS configuration problem",
  },
];

function expired(): Buffer {
  return readFileSync(new URL("../net/testdata/servers/expired.pem", import.meta.url));
}
function cnOnly(): Buffer {
  return readFileSync(new URL("../net/testdata/servers/cn.pem", import.meta.url));
}

for (const scene of SCENES) {
  test(`DANE ${scene.why}`, async () => {
    const peer = await FakePeer.start({ features: ["STARTTLS"], certificate: PEM, ...scene.script });
    const { mxSecure = true, hostSecure = true } = scene;
    const dns: ValidatingDns = {
      ...zoneDns({}),
      mx: async () => ({
        kind: "found",
        records: [{ preference: 1, exchange: "mx.example.test" }],
        secure: mxSecure,
        canonical: "dest.test",
      }),
      records: async (_name, family) =>
        family === 4
          ? { kind: "found", records: ["127.0.0.1"], secure: hostSecure, canonical: "mx.example.test" }
          : NONE,
      tlsa: async () => scene.records,
      alias: async () => NONE,
    };
    const settings = {
      smtp_tls_security_level: "dane",
      smtp_dns_support_level: "dnssec",
      smtp_tls_loglevel: "1",
      ...scene.settings,
    };
    const world = createWorld({ nexthop: `dest.test:${peer.port}`, settings, dns });
    try {
      const [outcome] = await world.deliver(scene.words ?? {});
      const text = outcome?.kind === "sent" ? "sent" : `${outcome?.kind} ${outcome?.dsn} ${outcome?.text}`;
      assert.ok(text.replaceAll(`:${peer.port}`, ":PORT").startsWith(scene.want), text);
      const words = world.lines.flatMap((line) => /^(\w+) TLS connection/.exec(line)?.[1] ?? []);
      assert.equal(words.at(-1), scene.word, world.lines.join("\n"));
      if (scene.connections !== undefined) assert.equal(peer.connections, scene.connections);
      if (scene.word === "Verified") assert.equal(peer.handshakes.at(-1)?.serverName, "mx.example.test");
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  });
}
