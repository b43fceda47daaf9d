/** Tests of the counts for TLS reports: what is counted, kept over restarts, added up, and bounded; and what real deliveries
 *  are counted as. */
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { Log } from "../log/log.ts";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";
import { daysIn, type ReportedPolicy, readDay, type TlsFailure, TlsTally } from "./tls-tally.ts";

const directories: string[] = [];
after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});
function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "postern-tally-"));
  directories.push(directory);
  return directory;
}

const NOON = Date.parse("2026-11-24T12:00:00Z");
const POLICY: ReportedPolicy = { type: "no-policy-found", domain: "a.test", strings: [], mxHosts: [] };
const FAILURE: TlsFailure = {
  type: "certificate-expired",
  host: "mx.a.test",
  address: "192.0.2.1",
  ownAddress: "192.0.2.9",
  reason: "",
};

function open(directory: string, time = { nowMs: NOON }) {
  const lines: string[] = [];
  const log = new Log({ sink: (r) => lines.push(r.text), now: () => 0, tag: "t", id: 1 });
  const clock = { ...systemClock, now: () => time.nowMs };
  return { tally: new TlsTally({ directory, clock, log: () => log }), lines, time };
}

async function shown(directory: string, day: string): Promise<readonly string[]> {
  const { counts } = await readDay(directory, day);
  return [...counts.values()].map(({ policy, successes, failures }) => {
    const failed = [...failures.values()].map(({ failure, count }) => `${failure.type} ${failure.host} ${count}`);
    return [`${policy.type} ${policy.domain} ${successes}`, ...failed].join("; ");
  });
}

test("TlsTally counts by policy and failure, and adds the lives of all workers up", async () => {
  const directory = temporary();
  const [one, two] = [open(directory), open(directory)];
  one.tally.record(POLICY, undefined);
  one.tally.record(POLICY, FAILURE);
  one.tally.record({ ...POLICY, type: "sts", strings: ["mode: testing"] }, undefined);
  await one.tally.flush();
  one.tally.record(POLICY, FAILURE);
  one.tally.record(POLICY, { ...FAILURE, host: "b.test" });
  two.tally.record(POLICY, undefined);
  two.tally.record(POLICY, FAILURE);
  await Promise.all([one.tally.flush(), two.tally.flush()]);
  assert.deepEqual((await shown(directory, "2026-11-24")).toSorted(), [
    "no-policy-found a.test 2; certificate-expired mx.a.test 3; certificate-expired b.test 1",
    "sts a.test 1",
  ]);
  assert.equal(readdirSync(directory).length, 2);
});

test("TlsTally keeps days apart, by UTC", async () => {
  const directory = temporary();
  const { tally, time } = open(directory, { nowMs: Date.parse("2026-11-24T23:59:59.999Z") });
  tally.record(POLICY, undefined);
  time.nowMs++;
  tally.record(POLICY, FAILURE);
  await tally.flush();
  assert.deepEqual(await daysIn(directory), ["2026-11-24", "2026-11-25"]);
  assert.deepEqual(await shown(directory, "2026-11-24"), ["no-policy-found a.test 1"]);
  assert.deepEqual(await shown(directory, "2026-11-25"), ["no-policy-found a.test 0; certificate-expired mx.a.test 1"]);
});

test("TlsTally is bounded", async () => {
  const directory = temporary();
  const { tally } = open(directory);
  for (let i = 0; i < 10_100; i++) tally.record({ ...POLICY, domain: `${i}.test` }, undefined);
  for (let i = 0; i < 150; i++) tally.record({ ...POLICY, domain: "0.test" }, { ...FAILURE, host: `${i}.test` });
  await tally.flush();
  const { counts } = await readDay(directory, "2026-11-24");
  assert.equal(counts.size, 10_000);
  const failures = [...([...counts.values()][0]?.failures.values() ?? [])];
  assert.equal(failures.length, 100);
  assert.equal(
    failures.reduce((sum, { count }) => sum + count, 0),
    150,
  );
});

test("readDay() passes over what is no count; a directory that is missing has no days", async () => {
  const directory = temporary();
  const { tally } = open(directory);
  tally.record(POLICY, undefined);
  await tally.flush();
  const [name = ""] = readdirSync(directory);
  appendFileSync(join(directory, name), '{"policy":{"dom\nnull\n{}\n');
  assert.deepEqual(await shown(directory, "2026-11-24"), ["no-policy-found a.test 1"]);
  assert.deepEqual(await daysIn(join(directory, "none")), []);
});

test("TlsTally that cannot write says so, and goes on", async () => {
  const { tally, lines } = open(join(temporary(), "none"));
  tally.record(POLICY, undefined);
  await tally.flush();
  assert.match(lines.join(), /^Cannot keep counts for TLS reports in /);
});

function pem(name: string): Buffer {
  return readFileSync(new URL(`../net/testdata/servers/${name}`, import.meta.url));
}

const MAY = { smtp_tls_security_level: "may" };
const SECURE = {
  smtp_tls_security_level: "secure",
  smtp_tls_secure_cert_match: "mx.example.test",
  smtp_tls_CAfile: "root.pem",
};
const DELIVERIES: readonly {
  readonly why: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly script?: PeerScript;
  readonly nexthop?: string;
  readonly want: string | undefined;
}[] = [
  { why: "encrypted", settings: MAY, want: "success" },
  { why: "not offered", settings: MAY, script: { features: [] }, want: "starttls-not-supported" },
  {
    why: "refused",
    settings: MAY,
    script: { answer: (c) => (c === "STARTTLS" ? "454 no" : undefined) },
    want: "starttls-not-supported",
  },
  { why: "a handshake that fails", settings: MAY, script: { brokenTls: true }, want: "validation-failure" },
  { why: "verified", settings: SECURE, want: "success" },
  {
    why: "another name",
    settings: { ...SECURE, smtp_tls_secure_cert_match: "x.test" },
    want: "certificate-host-mismatch",
  },
  { why: "expired", settings: SECURE, script: { certificate: pem("expired.pem") }, want: "certificate-expired" },
  { why: "another CA", settings: { ...SECURE, smtp_tls_CAfile: "cn.pem" }, want: "certificate-not-trusted" },
  { why: "a host that was named", settings: MAY, nexthop: "[mx.example.test]:$", want: undefined },
  { why: "a policy of our own", settings: { smtp_tls_policy_maps: "inline:policy" }, want: undefined },
  { why: "no TLS wanted", settings: {}, want: undefined },
  { why: "reports are off", settings: { ...MAY, smtp_tlsrpt_enable: "no" }, want: undefined },
];
for (const row of DELIVERIES) {
  test(`smtp_tlsrpt_enable counts: ${row.why}`, async () => {
    const peer = await FakePeer.start({ features: ["STARTTLS"], certificate: pem("mx.pem"), ...row.script });
    const counted: string[] = [];
    const world = createWorld({
      nexthop: (row.nexthop ?? "dest.test:$").replace("$", String(peer.port)),
      settings: { smtp_tlsrpt_enable: "yes", ...row.settings },
      zone: {
        "dest.test": { mx: [{ preference: 1, exchange: "mx.example.test" }] },
        "mx.example.test": { a: ["127.0.0.1"] },
      },
      tables: { "inline:policy": { [`dest.test:${peer.port}`]: "encrypt" } },
      tlsFiles: { read: (path) => ({ bytes: pem(path) }) },
      tally: {
        record({ domain, type }, failure) {
          assert.deepEqual([domain, type], ["dest.test", "no-policy-found"]);
          if (failure)
            assert.deepEqual(
              [failure.host, failure.address, failure.ownAddress],
              ["mx.example.test", "127.0.0.1", "127.0.0.1"],
            );
          counted.push(failure?.type ?? "success");
        },
      },
    });
    try {
      await world.deliver({});
      assert.deepEqual(counted, row.want === undefined ? [] : [row.want]);
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  });
}
