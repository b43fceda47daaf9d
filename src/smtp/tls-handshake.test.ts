/** Real handshakes with a server that shows certificates of net/testdata/servers: outcome, log lines, what the server saw.
 *  Postfix 3.7's posttls-finger logs the same lines for the same certificates. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { FileBytes } from "../net/tls-files.ts";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld, type World } from "./testdata/world.ts";

function pem(name: string): Buffer {
  return readFileSync(new URL(`../net/testdata/servers/${name}`, import.meta.url));
}

const TLS_FILES = {
  read(path: string): FileBytes {
    if (path === "absent.pem") return { error: "No such file or directory" };
    return { bytes: pem(path) };
  },
};

interface Setup {
  readonly script?: PeerScript;
  /** Parameters without their "smtp_" (or "lmtp_"). */
  readonly settings: Readonly<Record<string, string>>;
  readonly policies?: Readonly<Record<string, string>>;
  readonly tables?: Readonly<Record<string, string>>;
  readonly protocol?: "smtp" | "lmtp";
  /** The host that the next hop names; "$" stands for the port. */
  readonly nexthop?: string;
}

interface Setting {
  readonly peer: FakePeer;
  readonly world: World;
  /** Log lines with the port taken out. */
  lines(): readonly string[];
}

async function withServer(setup: Setup, run: (setting: Setting) => Promise<void>): Promise<void> {
  const peer = await FakePeer.start({ features: ["STARTTLS"], certificate: pem("mx.pem"), ...setup.script });
  const prefix = setup.protocol ?? "smtp";
  const settings = Object.fromEntries(
    Object.entries(setup.settings).map(([name, value]) => [
      /^tls_(?:app|wild)/.test(name) ? name : `${prefix}_${name}`,
      value,
    ]),
  );
  const policies = Object.entries(setup.policies ?? {}).map(([key, v]) => [key.replace("$", String(peer.port)), v]);
  const world = createWorld({
    nexthop: (setup.nexthop ?? "[mx.example.test]:$").replace("$", String(peer.port)),
    settings: { ...settings, ...(setup.policies && { [`${prefix}_tls_policy_maps`]: "inline:policy" }) },
    tables: { "inline:policy": { ...setup.tables, ...Object.fromEntries(policies) } },
    zone: { "mx.example.test": { a: ["127.0.0.1"] }, "cn.example.test": { a: ["127.0.0.1"] } },
    protocol: prefix,
    tlsFiles: TLS_FILES,
  });
  const lines = () => world.lines.map((line) => line.replaceAll(`:${peer.port}`, ":PORT"));
  try {
    await run({ peer, world, lines });
  } finally {
    await world.agent.close();
    await peer.stop();
  }
}

async function outcome({ world }: Setting): Promise<string> {
  const [result] = await world.deliver({});
  return result?.kind === "sent" ? "sent" : `${result?.kind} ${result?.dsn} ${result?.text}`;
}

const HOST = "mx.example.test[127.0.0.1]:PORT";
const CIPHER = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)";
const KEY = "56:9B"; // never the key of these certificates
const UNVERIFIED = "deferred 4.7.5 Server certificate not verified";
const CA = { tls_CAfile: "root.pem", tls_loglevel: "1" };
const SECURE = { ...CA, tls_security_level: "secure" };

interface Row extends Setup {
  readonly why: string;
  readonly want: string;
  /** Each begins a line of the log, in this order. */
  readonly log?: readonly string[];
}

const failed = (why: string) => `certificate verification failed for ${HOST}: ${why}`;
const summary = (word: string) => `${word} TLS connection established to ${HOST}: ${CIPHER}`;

const ROWS: readonly Row[] = [
  {
    why: "may without CAs: untrusted, and sent",
    settings: { tls_security_level: "may", tls_loglevel: "1" },
    want: "sent",
    log: [summary("Untrusted")],
  },
  {
    why: "may with the CA: trusted",
    settings: { ...CA, tls_security_level: "may" },
    want: "sent",
    log: [summary("Trusted")],
  },
  { why: "level 0 logs nothing", settings: { tls_security_level: "encrypt" }, want: "sent", log: [] },
  {
    why: "level 2 says why it is not trusted, and what it is",
    settings: { tls_security_level: "encrypt", tls_loglevel: "2" },
    want: "sent",
    log: [
      failed("untrusted issuer /O=Postern tests/CN=Test Root CA"),
      `${HOST}: subject_CN=ignored.test, issuer_CN=Test Intermediate CA, fingerprint=`,
      summary("Untrusted"),
    ],
  },
  { why: "secure with the right name", settings: SECURE, want: "sent", log: [summary("Verified")] },
  {
    why: "secure with a CA that is not the server's, at level 0",
    settings: { tls_security_level: "secure" },
    want: UNVERIFIED,
    log: [failed("untrusted issuer /O=Postern tests/CN=Test Root CA")],
  },
  {
    why: "secure, another name",
    settings: { ...SECURE, tls_secure_cert_match: "other.test" },
    want: UNVERIFIED,
    log: [`server ${failed("num=62:hostname mismatch")}`, summary("Untrusted")],
  },
  {
    why: "secure, expired",
    settings: SECURE,
    script: { certificate: pem("expired.pem") },
    want: UNVERIFIED,
    log: [`server ${failed("certificate has expired")}`],
  },
  {
    why: "secure, a certificate of a client",
    settings: SECURE,
    script: { certificate: pem("purpose.pem") },
    want: UNVERIFIED,
    log: [failed("not designated for use as a server certificate")],
  },
  {
    why: "secure, chain longer than allowed",
    settings: { ...SECURE, tls_scert_verifydepth: "1" },
    want: UNVERIFIED,
    log: [`server ${failed("certificate chain longer than limit(1)")}`],
  },
  { why: "verify matches the host", settings: { ...SECURE, tls_security_level: "verify" }, want: "sent" },
  {
    why: "dot-nexthop is not the next hop itself",
    settings: { ...SECURE, tls_secure_cert_match: "dot-nexthop" },
    want: UNVERIFIED,
  },
  { why: "a parent with a dot", settings: { ...SECURE, tls_secure_cert_match: ".example.test" }, want: "sent" },
  { why: "a parent without a dot", settings: { ...SECURE, tls_secure_cert_match: "example.test" }, want: UNVERIFIED },
  { why: "a wildcard, one label", settings: { ...SECURE, tls_secure_cert_match: "a.wild.test" }, want: "sent" },
  {
    why: "a wildcard, two labels, where that is wanted",
    settings: { ...SECURE, tls_secure_cert_match: "a.b.wild.test", tls_wildcard_matches_multiple_labels: "yes" },
    want: "sent",
  },
  {
    why: "a wildcard, two labels",
    settings: { ...SECURE, tls_secure_cert_match: "a.b.wild.test" },
    want: UNVERIFIED,
  },
  {
    why: "the common name does not count beside DNS names",
    settings: { ...SECURE, tls_secure_cert_match: "ignored.test" },
    want: UNVERIFIED,
  },
  {
    why: "the common name counts alone",
    settings: SECURE,
    script: { certificate: pem("cn.pem") },
    nexthop: "[cn.example.test]:$",
    want: "sent",
  },
  {
    why: "fingerprint of another certificate",
    settings: { tls_security_level: "fingerprint", tls_fingerprint_cert_match: KEY },
    want: UNVERIFIED,
    log: [`server ${failed("num=65:no matching DANE TLSA records")}`],
  },
  {
    why: "fingerprint without any",
    settings: { tls_security_level: "fingerprint" },
    want: "deferred 4.7.5 client TLS configuration problem",
    log: ["smtp_tls_security_level: configured at fingerprint security level, but with no fingerprints to match."],
  },
  {
    why: "CAs that cannot be read stop the mail",
    settings: { tls_security_level: "may", tls_CAfile: "absent.pem" },
    want: "deferred 4.7.5 client TLS configuration problem",
    log: ['Cannot read CA certificates "absent.pem": No such file or directory'],
  },
  {
    why: "a trust anchor that is no root is enough",
    settings: { tls_security_level: "secure", tls_trust_anchor_file: "intermediate.pem" },
    want: "sent",
  },
  {
    why: "a trust anchor replaces the CAs",
    settings: { ...SECURE, tls_trust_anchor_file: "../clients/ca.pem" },
    want: UNVERIFIED,
  },
  {
    why: "the table: exactly this next hop",
    settings: { tls_CAfile: "root.pem" },
    policies: { "[mx.example.test]:$": "secure match=mx.example.test" },
    want: "sent",
  },
  {
    why: "the table: not by the name without brackets and port",
    settings: { tls_security_level: "may" },
    policies: { "mx.example.test": "secure match=other.test", ".example.test": "secure match=other.test" },
    want: "sent",
  },
  {
    why: "the table: what is not understood stops the mail",
    settings: {},
    policies: { "[mx.example.test]:$": "secure matsch=other.test" },
    want: "deferred 4.7.5 client TLS configuration problem",
    log: ['smtp_tls_policy_maps, next-hop destination "[mx.example.test]:PORT": invalid attribute name: "matsch"'],
  },
  {
    why: "wrapper mode",
    settings: { ...SECURE, tls_wrappermode: "yes" },
    script: { wrapper: true },
    want: "sent",
    log: [summary("Verified")],
  },
  {
    why: "wrapper mode, another name: nothing is said to that server",
    settings: { ...SECURE, tls_wrappermode: "yes", tls_secure_cert_match: "other.test" },
    script: { wrapper: true },
    want: UNVERIFIED,
  },
  {
    why: "wrapper mode without mandatory TLS is a mistake",
    settings: { tls_security_level: "may", tls_wrappermode: "yes" },
    script: { wrapper: true },
    want: "deferred 4.7.5 client TLS configuration problem",
  },
  { why: "old spelling: enforce means verify", settings: { enforce_tls: "yes" }, want: UNVERIFIED },
  {
    why: "old spelling: enforce without peer name",
    settings: { enforce_tls: "yes", tls_enforce_peername: "no" },
    want: "sent",
  },
  {
    why: "versions of the mandatory levels",
    settings: { tls_security_level: "encrypt", tls_mandatory_protocols: ">=TLSv1.3" },
    script: { maxVersion: "TLSv1.2" },
    want: "deferred 4.7.5 Cannot start TLS: handshake failure",
  },
  {
    why: "lmtp has parameters of its own",
    protocol: "lmtp",
    script: { lmtp: true },
    settings: { ...CA, tls_security_level: "secure" },
    want: "sent",
    log: [summary("Verified")],
  },
  {
    why: "an offer that is not taken",
    settings: { tls_note_starttls_offer: "yes" },
    want: "sent",
    log: ["Host offered STARTTLS: [mx.example.test]"],
  },
];
for (const row of ROWS) {
  test(`TLS ${row.why}`, () =>
    withServer(row, async (setting) => {
      assert.equal(await outcome(setting), row.want);
      if (row.log?.length === 0) assert.deepEqual(setting.lines(), []);
      for (const [i, start] of (row.log ?? []).entries()) {
        assert.ok(setting.lines()[i]?.startsWith(start), `${i}: ${setting.lines().join("\n")}`);
      }
      if (row.want !== "sent") assert.ok(!setting.peer.commands().some((c) => c.startsWith("MAIL")));
    }));
}

test("TLS the summary names exchange and signature where they are known", () =>
  withServer({ settings: SECURE }, async (setting) => {
    await setting.world.deliver({});
    assert.match(
      setting.lines()[0] ?? "",
      /bits\) key-exchange (?:X25519\w*|ECDHE \(.*?\)) server-signature ECDSA \(prime256v1\) server-digest SHA256$/,
    );
  }));

test("TLS a fingerprint of certificate or key is found, however it is spelt", async () => {
  let fingerprints: readonly string[] = [];
  await withServer({ settings: { tls_security_level: "encrypt", tls_loglevel: "2" } }, async (setting) => {
    await setting.world.deliver({});
    fingerprints = setting
      .lines()
      .flatMap((line) => /fingerprint=(.*), pkey_fingerprint=(.*)$/.exec(line)?.slice(1) ?? []);
  });
  const [certificate = "", key = ""] = fingerprints;
  for (const match of [certificate, key, key.toLowerCase(), `AA:BB|${key}`, `AA:BB ${certificate}`]) {
    const settings = { tls_security_level: "fingerprint", tls_fingerprint_cert_match: match, tls_loglevel: "1" };
    await withServer({ settings }, async (setting) => {
      assert.equal(await outcome(setting), "sent", match);
      assert.ok(setting.lines()[0]?.startsWith(summary("Verified")), match);
    });
  }
});

const NAMES = [
  { settings: {}, want: "", why: "none by default" },
  { settings: { tls_servername: "hostname" }, want: "mx.example.test", why: "the host" },
  { settings: { tls_servername: "nexthop" }, want: "mx.example.test", why: "the next hop, bare" },
  { settings: { tls_servername: "front.test" }, want: "front.test", why: "a name" },
];
for (const row of NAMES) {
  test(`smtp_tls_servername: ${row.why}`, () =>
    withServer({ settings: { ...row.settings, tls_security_level: "encrypt" } }, async (setting) => {
      assert.equal(await outcome(setting), "sent");
      assert.equal(setting.peer.handshakes[0]?.serverName, row.want);
    }));
}

test("smtp_tls_cert_file is shown to a server that asks", () =>
  withServer({ settings: { tls_security_level: "encrypt", tls_cert_file: "cn.pem" } }, async (setting) => {
    assert.equal(await outcome(setting), "sent");
    assert.equal(setting.peer.handshakes[0]?.client, "CN=cn.example.test");
  }));

const RESUMED = [
  { version: "TLSv1.2", database: "btree:/x/smtp_scache", want: [false, true, true], why: "kept" },
  { version: "TLSv1.3", database: "btree:/x/smtp_scache", want: [false, true, true], why: "kept" },
  { version: "TLSv1.3", database: "", want: [false, false, false], why: "not kept by default" },
] as const;
for (const { version, database, want, why } of RESUMED) {
  test(`TLS sessions are ${why}: ${version}`, () => {
    const settings = { ...SECURE, tls_session_cache_database: database, connection_cache_on_demand: "no" };
    return withServer({ settings, script: { maxVersion: version } }, async (setting) => {
      for (let i = 0; i < 3; i++) assert.equal(await outcome(setting), "sent");
      assert.deepEqual(
        setting.peer.handshakes.map(({ resumed }) => resumed),
        want,
      );
      const last = setting.lines().at(-1) ?? "";
      assert.ok(
        last.startsWith(`Verified TLS connection ${want[2] ? "reused" : "established"} to ${HOST}: ${version}`),
        last,
      );
    });
  });
}

test("TLS an unverified session is never resumed as a verified one", () => {
  const settings = { ...SECURE, tls_secure_cert_match: "other.test", tls_session_cache_database: "btree:x" };
  return withServer({ settings, script: { maxVersion: "TLSv1.2" } }, async (setting) => {
    for (let i = 0; i < 2; i++) assert.equal(await outcome(setting), UNVERIFIED);
    assert.deepEqual(
      setting.peer.handshakes.map(({ resumed }) => resumed),
      [false, false],
    );
  });
});

test("connection_reuse=no in the table ends the connection after each delivery", () => {
  const policies = { "[mx.example.test]:$": "encrypt connection_reuse=no" };
  return withServer({ settings: {}, policies }, async (setting) => {
    for (let i = 0; i < 2; i++) assert.equal(await outcome(setting), "sent");
    assert.equal(setting.peer.connections, 2);
  });
});

const SOCKETS = [
  { level: "may", want: "sent", handshakes: 0, why: "encryption that nobody demands is not used" },
  { level: "encrypt", want: "sent", handshakes: 1, why: "demanded encryption is used" },
  { level: "secure", want: UNVERIFIED, handshakes: 1, why: "the certificate must be for $myhostname" },
  {
    level: "dane",
    want: "deferred 4.7.5 client TLS configuration problem",
    handshakes: 0,
    why: "there is no name to look up",
  },
];
for (const row of SOCKETS) {
  test(`lmtp_tls_security_level = ${row.level} over a UNIX-domain socket: ${row.why}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "postern-lmtp-"));
    const path = join(directory, "lmtp");
    const peer = await FakePeer.start({ features: ["STARTTLS"], certificate: pem("mx.pem"), lmtp: true, path });
    const world = createWorld({
      nexthop: `unix:${path}`,
      settings: {
        lmtp_tls_security_level: row.level,
        lmtp_tls_CAfile: "root.pem",
        lmtp_dns_support_level: "dnssec",
        myhostname: "me.test",
      },
      protocol: "lmtp",
      tlsFiles: TLS_FILES,
    });
    try {
      const [result] = await world.deliver({});
      assert.equal(result?.kind === "sent" ? "sent" : `${result?.kind} ${result?.dsn} ${result?.text}`, row.want);
      if (row.handshakes === 0) assert.equal(peer.commands().includes("STARTTLS"), false);
      else assert.ok(peer.commands().includes("STARTTLS"));
    } finally {
      await world.agent.close();
      await peer.stop();
      rmSync(directory, { recursive: true });
    }
  });
}

for (const [level, want] of [
  ["encrypt", "deferred 4.7.0 SASL authentication failed; cannot authenticate to server"],
  ["secure", "sent"],
] as const) {
  test(`smtp_sasl_tls_verified_security_options counts where the certificate is verified: ${level}`, () => {
    const settings = {
      ...SECURE,
      tls_security_level: level,
      sasl_auth_enable: "yes",
      sasl_password_maps: "inline:policy",
      sasl_tls_security_options: "noanonymous, noplaintext",
      sasl_tls_verified_security_options: "noanonymous",
    };
    const features = ["STARTTLS", "AUTH PLAIN"];
    return withServer({ settings, script: { features }, tables: { "mx.example.test": "u:p" } }, async (setting) => {
      assert.ok((await outcome(setting)).startsWith(want));
    });
  });
}
