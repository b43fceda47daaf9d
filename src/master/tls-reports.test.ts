/** Tests of sending TLS reports: to whom, when, by mail through the maildrop and by HTTPS, and what is tried again. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import PostalMime from "postal-mime";
import { type Clock, systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import type { Dns, DnsAnswer } from "../dns/resolver.ts";
import { Log } from "../log/log.ts";
import { parseSubmission } from "../pickup/submission.ts";
import { zoneDns } from "../smtp/testdata/world.ts";
import { TlsTally } from "../smtp/tls-tally.ts";
import { TlsReports } from "./tls-reports.ts";

const root = mkdtempSync(join(tmpdir(), "postern-tlsrpt-"));
after(() => rmSync(root, { recursive: true }));
const pem = (name: string) => readFileSync(new URL(`../net/testdata/servers/${name}`, import.meta.url));

const MIDNIGHT = Date.parse("2026-11-25T00:00:00Z");
const HOUR_MS = 3_600_000;

interface Scene {
  readonly directory: string;
  readonly maildrop: string;
  readonly time: { nowMs: number };
  readonly lines: string[];
  readonly reports: TlsReports;
  readonly woken: { times: number };
  count(domain: string): Promise<void>;
  mails(): Promise<readonly { to: string; sender: string; domain: string; successes: number }[]>;
}

function scene(
  txt: (name: string) => DnsAnswer<string>,
  httpsPort = 443,
  { after, random = 0 }: { readonly after?: Clock["after"]; readonly random?: number } = {},
): Scene {
  const directory = mkdtempSync(join(root, "counts-"));
  const maildrop = mkdtempSync(join(root, "maildrop-"));
  const time = { nowMs: MIDNIGHT - HOUR_MS };
  const clock = { ...systemClock, now: () => time.nowMs, ...(after && { after }) };
  const lines: string[] = [];
  const log = () => new Log({ sink: (r) => lines.push(r.text), now: () => 0, tag: "t", id: 1 });
  const dns: Dns = { ...zoneDns({ "mta-sts.sts.test": { a: ["127.0.0.1"] } }), txt: async (name) => txt(name) };
  const woken = { times: 0 };
  const params = parametersOf({ mydomain: "example.org" });
  const reports = new TlsReports({
    ...{ directory, maildrop, dns, clock, log, params: () => params, random: () => random },
    wake: () => woken.times++,
    https: { authorities: () => [pem("root.pem").toString()], port: httpsPort },
  });
  const count = async (domain: string) => {
    const tally = new TlsTally({ directory, clock, log });
    tally.record({ type: "no-policy-found", domain, strings: [], mxHosts: [] }, undefined);
    await tally.flush();
  };
  const mails = () => Promise.all(readdirSync(maildrop).map((name) => readMail(join(maildrop, name))));
  return { directory, maildrop, time, lines, reports, woken, count, mails };
}

async function readMail(path: string) {
  const bytes = readFileSync(path);
  const end = bytes.indexOf(10) + 1;
  const submission = parseSubmission(bytes.subarray(0, end));
  const mail = await PostalMime.parse(bytes.subarray(end));
  const report = JSON.parse(gunzipSync(mail.attachments[0]?.content as ArrayBuffer).toString());
  const [policy] = report.policies;
  return {
    to: submission?.recipients.join() ?? "",
    sender: submission?.sender ?? "",
    domain: policy.policy["policy-domain"],
    successes: policy.summary["total-successful-session-count"],
  };
}

const found = (...records: string[]): DnsAnswer<string> => ({ kind: "found", records });
const ABSENT: DnsAnswer<string> = { kind: "notFound", text: "Host not found" };
const NOT_NOW = (): DnsAnswer<string> => ({ kind: "temporary", text: "Host not found, try again" });

test("TlsReports sends a day when it is over, once, to those who want it (RPT-02)", async () => {
  const s = scene((name) => (name === "_smtp._tls.a.test" ? found("v=TLSRPTv1; rua=mailto:r%2Bx@a.test") : ABSENT));
  await s.count("a.test");
  await s.count("a.test");
  await s.count("none.test");
  await s.reports.look();
  s.time.nowMs = MIDNIGHT + 15 * 60_000 - 1;
  await s.count("a.test");
  await s.reports.look();
  assert.deepEqual(await s.mails(), [], "not yet");
  s.time.nowMs++;
  await s.reports.look();
  await s.reports.look();
  assert.deepEqual(await s.mails(), [
    { to: "r+x@a.test", sender: "postmaster@example.org", domain: "a.test", successes: 2 },
  ]);
  assert.equal(s.woken.times, 1);
  assert.deepEqual(
    readdirSync(s.directory).map((name) => name.slice(0, 10)),
    ["2026-11-25"],
    "the day that goes on is left alone",
  );
});

test("TlsReports looks every quarter of an hour by itself: each day is told once, at its time", async () => {
  let look = () => undefined as unknown;
  let armed = () => undefined as unknown;
  const after: Clock["after"] = (delayMs, run, options) => {
    if (delayMs !== HOUR_MS / 4) return systemClock.after(delayMs, run, options);
    look = run;
    armed();
    return { cancel: () => undefined };
  };
  const records = () => found("v=TLSRPTv1; rua=mailto:r@a.test");
  const s = scene(records, 443, { after, random: 0.5 });
  s.time.nowMs = MIDNIGHT - 24 * HOUR_MS;
  s.reports.start();
  const told: string[] = [];
  for (let quarter = 0; quarter < 4 * 54; quarter++) {
    if (quarter % 4 === 0) await s.count("a.test");
    s.time.nowMs += HOUR_MS / 4;
    const done = new Promise<void>((resolve) => {
      armed = resolve;
    });
    look();
    await done;
    if (s.woken.times > told.length) told.push(new Date(s.time.nowMs).toISOString());
  }
  await s.reports.close();
  assert.deepEqual(told, ["2026-11-25T02:15:00.000Z", "2026-11-26T02:15:00.000Z"]);
  assert.deepEqual(
    (await s.mails()).map(({ successes }) => successes),
    [24, 24],
  );
});

test("TlsReports tries again what could not be looked up, and gives up after days", async () => {
  let answer: DnsAnswer<string> = NOT_NOW();
  const s = scene((name) =>
    name === "_smtp._tls.late.test"
      ? answer
      : name.endsWith("a.test")
        ? found("v=TLSRPTv1; rua=mailto:r@a.test")
        : NOT_NOW(),
  );
  for (const domain of ["late.test", "a.test", "never.test"]) await s.count(domain);
  s.time.nowMs = MIDNIGHT + HOUR_MS;
  await s.reports.look();
  assert.deepEqual(
    (await s.mails()).map(({ domain }) => domain),
    ["a.test"],
  );
  answer = found("v=TLSRPTv1; rua=mailto:r@late.test");
  s.time.nowMs += HOUR_MS;
  await s.reports.look();
  assert.deepEqual((await s.mails()).map(({ domain }) => domain).toSorted(), ["a.test", "late.test"]);
  assert.equal(readdirSync(s.directory).length, 1);
  s.time.nowMs = MIDNIGHT + 72 * HOUR_MS;
  await s.reports.look();
  assert.deepEqual(readdirSync(s.directory), []);
  assert.match(s.lines.join("\n"), /TLS report to never\.test on 2026-11-24: given up/);
});

test("TlsReports posts to HTTPS, and keeps what was not taken (RPT-03)", async () => {
  const taken: string[] = [];
  let status = 503;
  const server = createServer({ key: pem("sts.pem"), cert: pem("sts.pem") }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const report = JSON.parse(gunzipSync(Buffer.concat(chunks)).toString());
      taken.push(`${request.method} ${request.url} ${request.headers["content-type"]} ${report["contact-info"]}`);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const s = scene(() => found("v=TLSRPTv1; rua=https://mta-sts.sts.test/in?x=1"), port);
    await s.count("a.test");
    s.time.nowMs = MIDNIGHT + HOUR_MS;
    await s.reports.look();
    assert.match(
      s.lines.join(),
      /TLS report to https:\/\/mta-sts\.sts\.test\/in\?x=1: mta-sts\.sts\.test answered 503/,
    );
    assert.equal(readdirSync(s.directory).length, 1);
    status = 201;
    await s.reports.look();
    assert.deepEqual(readdirSync(s.directory), []);
    assert.deepEqual(taken, Array(2).fill("POST /in?x=1 application/tlsrpt+gzip postmaster@example.org"));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test("TlsReports waits for no server when its own is stopped, and keeps the report", { timeout: 20_000 }, async () => {
  let asked = () => undefined as unknown;
  const arrived = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const server = createServer({ key: pem("sts.pem"), cert: pem("sts.pem") }, () => asked()); // and never an answer
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let look = () => undefined as unknown;
  const after: Clock["after"] = (delayMs, run, options) => {
    if (delayMs !== HOUR_MS / 4) return systemClock.after(delayMs, run, options);
    look = run;
    return { cancel: () => undefined };
  };
  try {
    const s = scene(() => found("v=TLSRPTv1; rua=https://mta-sts.sts.test/"), port, { after });
    await s.count("a.test");
    s.time.nowMs = MIDNIGHT + HOUR_MS;
    s.reports.start();
    look();
    await arrived;
    await s.reports.close();
    assert.match(s.lines.join(), /TLS report to https:.*: the server is being stopped/);
    assert.equal(readdirSync(s.directory).length, 1);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test("TlsReports sends nothing to what is no address", async () => {
  const s = scene(() => found("v=TLSRPTv1; rua=mailto:%0d%0aBcc:x@y.test, mailto:%zz@y.test"));
  await s.count("a.test");
  s.time.nowMs = MIDNIGHT + HOUR_MS;
  await s.reports.look();
  assert.deepEqual(await s.mails(), []);
  assert.match(s.lines.join("\n"), /not an address[\s\S]*URI malformed/);
});
