/** Tests of finding, keeping and applying MTA-STS policies, against a real HTTPS server and SMTP server on loopback. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import type { Dns, ValidatingDns } from "../dns/resolver.ts";
import { Log } from "../log/log.ts";
import { MtaSts } from "./mta-sts.ts";
import { FakePeer } from "./testdata/fake-peer.ts";
import { createWorld, type RequestWords, zoneDns } from "./testdata/world.ts";

function pem(name: string): Buffer {
  return readFileSync(new URL(`../net/testdata/servers/${name}`, import.meta.url));
}

const directories: string[] = [];
after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "postern-sts-"));
  directories.push(directory);
  return directory;
}

interface Site {
  status: number;
  type: string;
  body: string;
  /** TXT records of _mta-sts.sts.test. */
  txt: readonly string[];
  /** TXT lookups fail for now. */
  dnsDown: boolean;
  fetches: string[];
}

const POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.test\r\nmax_age: 604800\r\n";

/** The policy server of sts.test, whose certificate is for mta-sts.sts.test. */
async function withSite(
  certificate: string,
  run: (site: Site, dns: Dns, port: number) => Promise<void>,
): Promise<void> {
  const site: Site = {
    status: 200,
    type: "text/plain; charset=utf-8",
    body: POLICY,
    txt: ["v=STSv1; id=1;"],
    dnsDown: false,
    fetches: [],
  };
  const server: Server = createServer({ key: pem(certificate), cert: pem(certificate) }, (request, response) => {
    site.fetches.push(`${request.method} ${request.headers.host?.replace(/:\d+$/, "")} ${request.url}`);
    response.writeHead(site.status, { "content-type": site.type, location: "/elsewhere" });
    response.end(site.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const zone = zoneDns({
    "mta-sts.sts.test": { a: ["127.0.0.1"] },
    "sts.test": { mx: [{ preference: 1, exchange: "mx.example.test" }] },
    "mx.example.test": { a: ["127.0.0.1"] },
    "mx.other.test": { a: ["127.0.0.1"] },
  });
  const dns: Dns = {
    ...zone,
    txt: async (name) => {
      if (site.dnsDown) return { kind: "temporary", text: "Host not found, try again" };
      const known = name === "_mta-sts.sts.test" && site.txt.length > 0;
      return known ? { kind: "found", records: site.txt } : { kind: "notFound", text: "Host not found" };
    },
  };
  try {
    await run(site, dns, (server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

interface Times {
  nowMs: number;
}

function open(dns: Dns, port: number, more: { directory?: string; times?: Times } = {}) {
  const lines: string[] = [];
  const { times, directory } = more;
  const clock = times ? { ...systemClock, now: () => times.nowMs, monotonic: () => times.nowMs } : systemClock;
  const log = new Log({ sink: (r) => lines.push(r.text), now: () => 0, tag: "postfix/smtp", id: 1 });
  const authorities = () => [pem("root.pem").toString()];
  const sts = new MtaSts({ dns, clock, log, directory, authorities, port });
  return { sts, lines };
}

const MODE = async (sts: MtaSts) => {
  const answer = await sts.policyOf("sts.test");
  return "policy" in answer ? `${answer.policy.mode} ${answer.policy.id}` : (answer.failure ?? "nothing");
};

test("MtaSts fetches a policy once, from the right place (STS-02, STS-06)", () =>
  withSite("sts.pem", async (site, dns, port) => {
    const { sts } = open(dns, port);
    assert.deepEqual(await Promise.all([MODE(sts), MODE(sts)]), ["enforce 1", "enforce 1"]);
    assert.equal(await MODE(sts), "enforce 1");
    assert.deepEqual(site.fetches, ["GET mta-sts.sts.test /.well-known/mta-sts.txt"]);
    assert.deepEqual(await sts.policyOf("sub.sts.test"), { failure: undefined }, "a parent's policy is not its own");
    site.txt = [];
    assert.deepEqual(await open(dns, port).sts.policyOf("sts.test"), { failure: undefined });
  }));

const FAILURES: readonly {
  readonly why: string;
  readonly change: (site: Site) => void;
  readonly certificate?: string;
  readonly want: string;
  readonly log: RegExp;
}[] = [
  { why: "not found", change: (s) => (s.status = 404), want: "sts-policy-fetch-error", log: /answered 404/ },
  {
    why: "a redirect is not followed (STS-02)",
    change: (s) => (s.status = 301),
    want: "sts-policy-fetch-error",
    log: /answered 301/,
  },
  {
    why: "another media type (STS-02)",
    change: (s) => (s.type = "text/html"),
    want: "sts-policy-invalid",
    log: /text\/html/,
  },
  { why: "no policy", change: (s) => (s.body = "hello"), want: "sts-policy-invalid", log: /no version/ },
  {
    why: "more than 64 KiB (STS-02, LIM-25)",
    change: (s) => (s.body = POLICY + "#".repeat(65_536)),
    want: "sts-policy-fetch-error",
    log: /larger/,
  },
  {
    why: "a certificate for another name (STS-02)",
    change: () => {},
    certificate: "mx.pem",
    want: "sts-webpki-invalid",
    log: /certificate/,
  },
  {
    why: "a name in the subject alone",
    change: () => {},
    certificate: "sts-cn.pem",
    want: "sts-webpki-invalid",
    log: /certificate is not for/,
  },
  {
    why: "an expired certificate",
    change: () => {},
    certificate: "expired.pem",
    want: "sts-webpki-invalid",
    log: /expired/,
  },
];
for (const row of FAILURES) {
  test(`MtaSts has no policy: ${row.why}`, () =>
    withSite(row.certificate ?? "sts.pem", async (site, dns, port) => {
      row.change(site);
      const { sts, lines } = open(dns, port);
      assert.equal(await MODE(sts), row.want);
      assert.match(lines.join("\n"), row.log);
      const asked = site.fetches.length;
      assert.equal(await MODE(sts), row.want);
      assert.equal(site.fetches.length, asked, "a failing server is left alone");
    }));
}

test("MtaSts keeps a policy while DNS and the web server are silenced, and not longer than max_age (STS-03)", () =>
  withSite("sts.pem", async (site, dns, port) => {
    const times = { nowMs: 1_000_000 };
    const { sts } = open(dns, port, { times });
    assert.equal(await MODE(sts), "enforce 1");
    site.dnsDown = true;
    assert.equal(await MODE(sts), "enforce 1");
    Object.assign(site, { dnsDown: false, txt: [] });
    assert.equal(await MODE(sts), "enforce 1", "the record is gone");
    Object.assign(site, { status: 500, txt: ["v=STSv1; id=2"] });
    assert.equal(await MODE(sts), "enforce 1", "a new one cannot be had");
    times.nowMs += 604_800_000 - 1;
    assert.equal(await MODE(sts), "enforce 1");
    times.nowMs += 1;
    assert.equal(await MODE(sts), "sts-policy-fetch-error");
  }));

test("MtaSts takes a new id at once, the same one after a day (STS-03)", () =>
  withSite("sts.pem", async (site, dns, port) => {
    const times = { nowMs: 1_000_000 };
    const { sts } = open(dns, port, { times });
    assert.equal(await MODE(sts), "enforce 1");
    Object.assign(site, { body: POLICY.replace("enforce", "testing"), txt: ["v=STSv1; id=2"] });
    assert.equal(await MODE(sts), "testing 2");
    site.body = POLICY.replace("enforce", "none");
    times.nowMs += 86_399_999;
    assert.equal(await MODE(sts), "testing 2");
    times.nowMs += 1;
    assert.equal(await MODE(sts), "none 2");
    assert.equal(site.fetches.length, 3);
  }));

test("MtaSts tries a failed server again after five minutes", () =>
  withSite("sts.pem", async (site, dns, port) => {
    const times = { nowMs: 1_000_000 };
    const { sts } = open(dns, port, { times });
    site.status = 503;
    assert.equal(await MODE(sts), "sts-policy-fetch-error");
    site.status = 200;
    times.nowMs += 299_999;
    assert.equal(await MODE(sts), "sts-policy-fetch-error");
    times.nowMs += 1;
    assert.equal(await MODE(sts), "enforce 1");
  }));

test("MtaSts keeps policies over a restart, and trusts no file that is damaged", () =>
  withSite("sts.pem", async (site, dns, port) => {
    const directory = temporary();
    assert.equal(await MODE(open(dns, port, { directory }).sts), "enforce 1");
    site.dnsDown = true;
    assert.equal(await MODE(open(dns, port, { directory }).sts), "enforce 1");
    const { readdirSync } = await import("node:fs");
    const [name = ""] = readdirSync(directory);
    const whole = readFileSync(join(directory, name), "utf8");
    for (const text of [
      whole.slice(0, 40),
      "{}",
      "null",
      whole.replace("sts.test", "x.test"),
      whole.replace("enforce", "x"),
    ]) {
      writeFileSync(join(directory, name), text);
      assert.equal(await MODE(open(dns, port, { directory }).sts), "nothing", text);
    }
    site.dnsDown = false;
    assert.equal(await MODE(open(dns, port, { directory }).sts), "enforce 1");
    const missing = open(dns, port, { directory: join(directory, "none") });
    assert.equal(await MODE(missing.sts), "enforce 1", "a policy that cannot be kept still counts");
    assert.match(missing.lines.join(), /Cannot keep the MTA-STS policy/);
  }));

const UNVERIFIED = "deferred 4.7.5 Server certificate not verified";
const SCENES: readonly {
  readonly why: string;
  readonly body?: string;
  readonly txt?: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
  readonly policies?: Readonly<Record<string, string>>;
  readonly certificate?: string;
  readonly features?: readonly string[];
  readonly nexthop?: string;
  readonly maxVersion?: "TLSv1.2";
  readonly words?: Partial<RequestWords>;
  readonly want: string;
  readonly word?: string;
}[] = [
  { why: "enforce, a good certificate", want: "sent", word: "Verified" },
  { why: "enforce, another name (STS-04)", certificate: "sts.pem", want: UNVERIFIED, word: "Untrusted" },
  { why: "enforce, an expired certificate", certificate: "expired.pem", want: UNVERIFIED, word: "Untrusted" },
  {
    why: "enforce, the common name does not count alone",
    certificate: "cn.pem",
    want: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "enforce, TLS is not offered",
    features: [],
    want: "deferred 4.7.4 TLS is required, but was not offered by host mx.example.test[127.0.0.1]",
  },
  {
    why: "enforce, an exchanger that the policy does not know (STS-04)",
    body: POLICY.replace("mx.example.test", "mx.other.test"),
    want: "deferred 4.7.5 host mx.example.test[127.0.0.1] is not in the MTA-STS policy of sts.test",
  },
  {
    why: "enforce, a wildcard (STS-04)",
    body: POLICY.replace("mx.example.test", "*.example.test"),
    want: "sent",
    word: "Verified",
  },
  {
    why: "testing, a bad certificate: sent (STS-04)",
    body: POLICY.replace("enforce", "testing"),
    certificate: "sts.pem",
    want: "sent",
    word: "Untrusted",
  },
  { why: "testing, TLS is not offered: sent", body: POLICY.replace("enforce", "testing"), features: [], want: "sent" },
  {
    why: "testing, an unknown exchanger: sent",
    body: POLICY.replace("enforce", "testing").replace("mx.example", "mx.other"),
    want: "sent",
    word: "Verified",
  },
  {
    why: "REQ-03: REQUIRETLS, enforce",
    features: ["STARTTLS", "REQUIRETLS"],
    words: { requireTls: true },
    want: "sent",
    word: "Verified",
  },
  {
    why: "REQ-03: REQUIRETLS, testing: the policy proves the exchanger, and must be kept",
    body: POLICY.replace("enforce", "testing"),
    features: ["STARTTLS", "REQUIRETLS"],
    words: { requireTls: true },
    want: "sent",
    word: "Verified",
  },
  {
    why: "REQ-03: REQUIRETLS, testing, a bad certificate",
    body: POLICY.replace("enforce", "testing"),
    certificate: "sts.pem",
    features: ["STARTTLS", "REQUIRETLS"],
    words: { requireTls: true },
    want: "bounced 5.7.5 Server certificate not verified",
    word: "Untrusted",
  },
  {
    why: "REQ-05: TLS-Required: No, enforce, another name",
    certificate: "sts.pem",
    words: { tlsOptional: true },
    want: "sent",
    word: "Trusted",
  },
  {
    why: "REQ-05: TLS-Required: No, enforce, an exchanger that the policy does not know, no TLS",
    body: POLICY.replace("mx.example.test", "mx.other.test"),
    features: [],
    words: { tlsOptional: true },
    want: "sent",
  },
  { why: "none", body: POLICY.replace("enforce", "none"), features: [], want: "sent" },
  { why: "no policy", txt: [], features: [], want: "sent" },
  { why: "switched off", settings: { smtp_tls_mta_sts: "no" }, features: [], want: "sent" },
  { why: "an entry of the table goes first", policies: { "sts.test:$": "none" }, want: "sent" },
  { why: "a host in brackets has no policy (STS-06)", nexthop: "[mx.example.test]:$", features: [], want: "sent" },
  { why: "level none stays none", settings: { smtp_tls_security_level: "none" }, want: "sent" },
  {
    why: "level secure stays secure",
    settings: { smtp_tls_security_level: "secure", smtp_tls_secure_cert_match: "other.test" },
    want: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "a daemon's entry: its exchangers and their names count",
    policies: { "sts.test:$": "secure match=x.test policy_type=sts mx_host_pattern=mx.example.test" },
    want: "sent",
    word: "Verified",
  },
  {
    why: "a daemon's entry: another exchanger",
    policies: { "sts.test:$": "secure match=mx.example.test policy_type=sts mx_host_pattern=*.other.test" },
    want: "deferred 4.7.5 host mx.example.test[127.0.0.1] is not in the MTA-STS policy of sts.test",
  },
  {
    why: "a daemon's entry without enforcement: as it is written",
    policies: {
      "sts.test:$": "secure match=mx.example.test servername=hostname policy_type=sts mx_host_pattern=*.other.test",
    },
    settings: { smtp_tls_enforce_sts_mx_patterns: "no" },
    want: "sent",
    word: "Verified",
  },
];
for (const scene of SCENES) {
  test(`smtp_tls_mta_sts: ${scene.why}`, () =>
    withSite("sts.pem", async (site, dns, httpsPort) => {
      if (scene.body !== undefined) site.body = scene.body;
      if (scene.txt) site.txt = scene.txt;
      const certificate = pem(scene.certificate ?? "mx.pem");
      const peer = await FakePeer.start({ features: scene.features ?? ["STARTTLS"], certificate });
      const named = Object.entries(scene.policies ?? {}).map(([key, v]) => [key.replace("$", String(peer.port)), v]);
      const world = createWorld({
        nexthop: (scene.nexthop ?? "sts.test:$").replace("$", String(peer.port)),
        settings: {
          smtp_tls_security_level: "may",
          smtp_tls_mta_sts: "yes",
          smtp_tls_loglevel: "1",
          smtp_tls_CAfile: "root.pem",
          ...(scene.policies && { smtp_tls_policy_maps: "inline:policy" }),
          ...scene.settings,
        },
        tables: { "inline:policy": Object.fromEntries(named) },
        tlsFiles: { read: (path) => ({ bytes: pem(path) }) },
        mtaSts: { directory: temporary(), port: httpsPort },
        dns,
      });
      try {
        const [outcome] = await world.deliver(scene.words ?? {});
        const text = outcome?.kind === "sent" ? "sent" : `${outcome?.kind} ${outcome?.dsn} ${outcome?.text}`;
        assert.equal(text, scene.want);
        const words = world.lines.flatMap((line) => /^(\w+) TLS connection/.exec(line)?.[1] ?? []);
        assert.equal(words.at(-1), scene.word, world.lines.join("\n"));
        if (scene.word === "Verified") assert.equal(peer.handshakes.at(-1)?.serverName, "mx.example.test");
      } finally {
        await world.agent.close();
        await peer.stop();
      }
    }));
}

test("a TLSA record that does not match stops mail that the MTA-STS policy would let through (STS-05)", () =>
  withSite("sts.pem", async (site, dns, httpsPort) => {
    const none = { kind: "noData", text: "none" } as const;
    const wrong = { usage: 3, selector: 1, matchingType: 1, association: Buffer.alloc(32) };
    const signed: ValidatingDns = {
      ...dns,
      mx: async () => ({
        kind: "found",
        records: [{ preference: 1, exchange: "mx.example.test" }],
        secure: true,
        canonical: "sts.test",
      }),
      records: async (_name, family) =>
        family === 4 ? { kind: "found", records: ["127.0.0.1"], secure: true, canonical: "mx.example.test" } : none,
      tlsa: async () => ({ kind: "found", records: [wrong], secure: true, canonical: "" }),
      alias: async () => none,
    };
    const peer = await FakePeer.start({ features: ["STARTTLS"], certificate: pem("mx.pem") });
    const world = createWorld({
      nexthop: `sts.test:${peer.port}`,
      settings: {
        smtp_tls_security_level: "dane",
        smtp_dns_support_level: "dnssec",
        smtp_tls_mta_sts: "yes",
        smtp_tls_CAfile: "root.pem",
      },
      tlsFiles: { read: (path) => ({ bytes: pem(path) }) },
      mtaSts: { directory: temporary(), port: httpsPort },
      dns: signed,
    });
    try {
      const [outcome] = await world.deliver({});
      assert.equal(`${outcome?.kind} ${outcome?.dsn} ${outcome?.text}`, UNVERIFIED);
      assert.deepEqual(site.fetches, []);
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  }));

test("MtaSts removes policies that have expired: one that is asked for, and all others when a new one comes", () =>
  withSite("sts.pem", async (site, dns, port) => {
    const directory = temporary();
    const times = { nowMs: 1_000_000 };
    const files = () => readdirSync(directory).length;
    await MODE(open(dns, port, { directory, times }).sts);
    assert.equal(files(), 1);
    const stored = readFileSync(join(directory, readdirSync(directory)[0] ?? ""), "utf8");
    const old = stored.replace("sts.test", "old.test").replace("604800", "86400");
    writeFileSync(join(directory, "0".repeat(64)), old);
    writeFileSync(join(directory, "1".repeat(64)), stored.replace("sts.test", "other.test"));
    writeFileSync(join(directory, "not-ours"), old);
    times.nowMs += 2 * 86_400_000;
    const { sts, lines } = open(dns, port, { directory, times });
    assert.equal(await MODE(sts), "enforce 1");
    await sts.swept;
    assert.equal(files(), 3, "the old one is gone; the two that hold, and what is not ours, are there");
    assert.ok(!readdirSync(directory).includes("0".repeat(64)));
    times.nowMs += 604_800_000;
    site.txt = [];
    assert.equal(await MODE(sts), "nothing");
    assert.deepEqual([files(), lines], [2, []], "the policy that was asked for is gone");
  }));
