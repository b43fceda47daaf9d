/** Tests of policy table entries: which key counts, what each attribute means, and that no mistake is passed over. The
 *  complaints are Postfix's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { defaultPolicy, findTlsPolicy, nexthopDomain, parseTlsPolicy, type TlsPolicy } from "./tls-policy.ts";
import { TLS_LEVELS, tlsSettingsOf } from "./tls-settings.ts";

const SETTINGS = tlsSettingsOf(
  parametersOf({
    smtp_tls_security_level: "may",
    smtp_tls_exclude_ciphers: "DES",
    smtp_tls_mandatory_exclude_ciphers: "RC4, MD5",
    smtp_tls_mandatory_ciphers: "high",
    smtp_tls_mandatory_protocols: ">=TLSv1.2",
    smtp_tls_fingerprint_cert_match: "AA:AA|BB:BB",
    smtp_tls_policy_maps: "inline:a, inline:b",
  }),
  "smtp",
);
const MAY = { protocols: ">=TLSv1", grade: "medium", exclude: ["DES"] };
const MANDATORY = { protocols: ">=TLSv1.2", grade: "high", exclude: ["DES", "RC4", "MD5"] };

const GOOD: readonly { readonly in: string; readonly want: Readonly<Record<string, unknown>>; readonly why: string }[] =
  [
    { in: "none", want: { level: "none" }, why: "no TLS" },
    { in: "NONE match=x", want: { level: "none" }, why: "attributes do not matter without TLS" },
    { in: "may", want: { level: "may", offer: MAY }, why: "what main.cf says for may" },
    { in: "encrypt", want: { level: "encrypt", offer: MANDATORY }, why: "what main.cf says above may" },
    { in: "secure", want: { match: ["nexthop", "dot-nexthop"] }, why: "main.cf's names" },
    { in: "verify", want: { match: ["hostname"] }, why: "main.cf's names" },
    { in: "fingerprint", want: { match: ["AA:AA", "BB:BB"] }, why: "main.cf's fingerprints" },
    {
      in: "secure match=a.test:.b.test match=nexthop",
      want: { match: ["a.test", ".b.test", "nexthop"] },
      why: "several",
    },
    {
      in: "fingerprint match=CC:CC|DD:DD",
      want: { match: ["CC:CC", "DD:DD"] },
      why: "colons are part of fingerprints",
    },
    {
      in: "encrypt, protocols=TLSv1.3,ciphers=medium",
      want: { offer: { ...MANDATORY, protocols: "TLSv1.3", grade: "medium" } },
      why: "commas separate",
    },
    {
      in: "may protocols=!SSLv3:!TLSv1",
      want: { offer: { ...MAY, protocols: "!SSLv3:!TLSv1" } },
      why: "colons join versions",
    },
    {
      in: "encrypt exclude=aNULL:RC4",
      want: { offer: { ...MANDATORY, exclude: ["aNULL", "RC4"] } },
      why: "exclusions replace main.cf's",
    },
    { in: "encrypt exclude=", want: { offer: { ...MANDATORY, exclude: [] } }, why: "no exclusion at all" },
    { in: "secure servername=hostname", want: { serverName: "hostname" }, why: "name in the handshake" },
    { in: "secure tafile=/a.pem tafile=/b.pem", want: { anchorFiles: ["/a.pem", "/b.pem"] }, why: "several anchors" },
    { in: "encrypt connection_reuse=yes connection_reuse=no", want: { reuse: false }, why: "the last counts" },
    {
      in: "secure match=.a.test servername=hostname policy_type=sts policy_domain=A.test { policy_string = version: STSv1 } {policy_string=mode: enforce} mx_host_pattern=*.a.test policy_ttl=86400",
      want: {
        level: "secure",
        serverName: "hostname",
        published: {
          type: "sts",
          domain: "a.test",
          strings: ["version: STSv1", "mode: enforce"],
          mxHosts: ["*.a.test"],
          failure: undefined,
        },
      },
      why: "what a daemon for MTA-STS tells",
    },
    {
      in: "may policy_type=sts policy_failure=sts-webpki-invalid",
      want: { published: { type: "sts", domain: undefined, strings: [], mxHosts: [], failure: "sts-webpki-invalid" } },
      why: "a policy that could not be had",
    },
  ];
for (const c of GOOD) {
  test(`parseTlsPolicy() ${c.why}: ${c.in}`, () => {
    const result = parseTlsPolicy(c.in, SETTINGS, "W");
    assert.ok("policy" in result, JSON.stringify(result));
    const got = Object.fromEntries(Object.keys(c.want).map((key) => [key, result.policy[key as keyof TlsPolicy]]));
    assert.deepEqual(got, c.want);
  });
}

const BAD = [
  { in: "", want: "W: invalid empty policy" },
  { in: " , ", want: "W: invalid empty policy" },
  { in: "must", want: 'W: invalid security level "must"' },
  { in: "encrypt match=a.test", want: 'W: attribute "match" invalid at security level "encrypt"' },
  { in: "may match=a.test", want: 'W: attribute "match" invalid at security level "may"' },
  { in: "secure match=", want: 'W: attribute "match" has empty value' },
  { in: "secure match", want: 'W: malformed attribute/value pair "match"' },
  { in: "secure =a", want: 'W: malformed attribute/value pair "=a"' },
  { in: "secure constructor=a", want: 'W: invalid attribute name: "constructor"' },
  { in: "encrypt ciphers=best", want: 'W: attribute "ciphers" has bad value: "best"' },
  { in: "encrypt ciphers=high ciphers=high", want: 'W: attribute "ciphers" is specified multiple times' },
  { in: "encrypt protocols=SSLv2", want: 'W: No TLS protocol is left by "SSLv2"' },
  { in: "encrypt protocols=TLSv9", want: 'W: Invalid TLS protocol "TLSv9" in "TLSv9"' },
  { in: "encrypt servername=a..b", want: 'W: "servername=a..b" specifies an invalid hostname' },
  { in: "encrypt tafile=/a", want: 'W: attribute "tafile" invalid at security level "encrypt"' },
  { in: "may policy_type=tlsb", want: 'W: attribute "policy_type" has bad value: "tlsb"' },
  { in: "may policy_failure=bad", want: 'W: attribute "policy_failure" has bad value: "bad"' },
  { in: "may policy_ttl=1d", want: 'W: attribute "policy_ttl" has bad value: "1d"' },
  { in: "may { match", want: 'W: malformed attribute/value pair "{"' },
  { in: "encrypt connection_reuse=maybe", want: 'W: attribute "connection_reuse" has bad value: "maybe"' },
];
for (const c of BAD) {
  test(`parseTlsPolicy() refuses "${c.in}"`, () => {
    assert.deepEqual(parseTlsPolicy(c.in, SETTINGS, "W"), { problem: c.want });
  });
}

test("parseTlsPolicy() never makes less of an entry than its level", () => {
  const attribute = fc
    .tuple(fc.constantFrom("match", "ciphers", "tafile", "x", "protocols"), fc.string())
    .map((p) => p.join("="));
  fc.assert(
    fc.property(fc.constantFrom(...TLS_LEVELS), fc.array(attribute, { maxLength: 3 }), (level, attributes) => {
      const result = parseTlsPolicy([level, ...attributes].join(" "), SETTINGS, "W");
      assert.ok("problem" in result || result.policy.level === level);
    }),
  );
});

const KEYS = [
  { nexthop: "a.b.test", want: ["a.b.test", ".b.test", ".test"], why: "a domain and its parents" },
  { nexthop: "a.b.test:587", want: ["a.b.test:587"], why: "with a port: as it is" },
  { nexthop: "[a.b.test]", want: ["[a.b.test]"], why: "in brackets: as it is" },
  { nexthop: "inet:a.b.test:24", want: ["a.b.test:24"], why: "LMTP's prefix is no part of it" },
  { nexthop: "unix:/run/lmtp", want: ["/run/lmtp"], why: "a socket's path" },
  { nexthop: "192.0.2.1", want: ["192.0.2.1"], why: "an address has no parents" },
];
for (const c of KEYS) {
  test(`findTlsPolicy() asks for ${c.why}: ${c.nexthop}`, async () => {
    const asked: string[] = [];
    const get = (ref: string) => (key: string) => {
      if (ref === "inline:a") asked.push(key);
      return undefined;
    };
    const tables = { open: (ref: string) => ({ ref, partialKeys: true, get: get(ref) }) };
    assert.deepEqual(await findTlsPolicy(tables, SETTINGS, c), defaultPolicy(SETTINGS));
    assert.deepEqual(asked, c.want);
  });
}

test("findTlsPolicy() looks a key up in all tables before the next key", async () => {
  const values: Record<string, Record<string, string>> = {
    "inline:a": { ".test": "none" },
    "inline:b": { "x.test": "secure" },
  };
  const tables = { open: (ref: string) => ({ ref, partialKeys: true, get: (key: string) => values[ref]?.[key] }) };
  const found = await findTlsPolicy(tables, SETTINGS, { nexthop: "x.test" });
  assert.ok("policy" in found && found.policy.level === "secure");
});

const DOMAINS = [
  { nexthop: "example.com", want: "example.com" },
  { nexthop: "example.com:587", want: "example.com" },
  { nexthop: "[mail.example.com]:587", want: "mail.example.com" },
  { nexthop: "[ipv6:2001:db8::1]:25", want: "2001:db8::1" },
  { nexthop: "inet:host:24", want: "host" },
  { nexthop: "bücher.example", want: "xn--bcher-kva.example" },
];
for (const c of DOMAINS) {
  test(`nexthopDomain() ${c.nexthop}`, () => {
    assert.equal(nexthopDomain({ nexthop: c.nexthop, host: "mx.test", port: 25 }), c.want);
  });
}

test("nexthopDomain() of a UNIX-domain socket is our own name", () => {
  assert.equal(nexthopDomain({ nexthop: "unix:/run/lmtp", host: "me.test", port: undefined }), "me.test");
});
