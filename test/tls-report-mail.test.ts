/** A TLS report by mail, from the counts of a day to the next hop of a running server. Only the calendar is the test's: the
 *  day is over before it is. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import PostalMime from "postal-mime";
import { systemClock } from "../src/base/clock.ts";
import { parametersOf } from "../src/config/parameters.ts";
import type { Dns } from "../src/dns/resolver.ts";
import { Log } from "../src/log/log.ts";
import { TlsReports } from "../src/master/tls-reports.ts";
import { askControl } from "../src/net/control-socket.ts";
import { zoneDns } from "../src/smtp/testdata/world.ts";
import { TlsTally } from "../src/smtp/tls-tally.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { TestServer } from "./testbed/server.ts";

const NOW_MS = systemClock.now();
/** Later than a day and the quarter of an hour behind midnight, in which no report goes. */
const LATER_MS = 25 * 3_600_000;
const DOMAIN = "dest.example";

let hop: NextHop;
let server: TestServer;
const taken: string[] = [];
const envelopes: string[] = [];
const log = () => new Log({ sink: () => undefined, now: systemClock.now, tag: "test", id: 1 });

before(async () => {
  hop = await startNextHop({
    port: 0,
    taken: (content) => taken.push(content),
    asked: (command) => envelopes.push(command),
  });
  // The next hop has no STARTTLS: other mail to it waits.
  server = new TestServer({
    mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
smtp_tls_security_level = encrypt
postern_workers = 1
postern_dkim_signing_file = $config_directory/dkim/keys`,
    masterCf: "",
  });
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await hop?.close();
});

async function postern(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.run(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Names and texts of the TXT records that the command printed. */
function zoneOf(output: string): ReadonlyMap<string, string> {
  const lines = output.matchAll(/^(\S+)\. IN TXT \( (.*) \)$/gm);
  return new Map([...lines].map(([, name = "", text = ""]) => [name, text.replace(/^"|"$|" "/g, "")]));
}

function reportsOf(): TlsReports {
  const [directory, maildrop] = [join(server.directory, "spool/tlsrpt"), join(server.directory, "spool/maildrop")];
  const records = [`v=TLSRPTv1; rua=mailto:reports@${DOMAIN}`];
  const dns: Dns = { ...zoneDns({}), txt: async () => ({ kind: "found", records }) };
  const params = parametersOf({ myhostname: "mail.example.org", mydomain: "example.org" });
  return new TlsReports({
    ...{ directory, maildrop, dns, log, params: () => params, random: () => 0 },
    clock: { ...systemClock, now: () => NOW_MS + LATER_MS },
    wake: () => void askControl(join(server.directory, "spool/public/client"), { op: "pickup", args: {} }),
    https: { authorities: () => [], port: 443 },
  });
}

test("RPT-03: a report arrives as multipart/report, signed by its sender's domain, though TLS fails", async () => {
  const zone = zoneOf(await postern("dkim", "generate", ".example.org"));
  await postern("dkim", "rotate", "example.org", "--force");
  await server.start();
  await server.run(["sendmail", "-f", "alice@example.org", `bob@${DOMAIN}`], "Subject: waits\n\nx\n");
  await server.logged(/status=deferred \(TLS is required, but was not offered by/);

  const directory = join(server.directory, "spool/tlsrpt");
  const tally = new TlsTally({ directory, clock: { ...systemClock, now: () => NOW_MS }, log });
  const day = new Date(NOW_MS).toISOString().slice(0, 10);
  const failure = { type: "starttls-not-supported", host: "mx.dest.example", address: "192.0.2.7" } as const;
  const policy = { type: "no-policy-found", domain: DOMAIN, strings: [], mxHosts: [] } as const;
  tally.record(policy, undefined);
  tally.record(policy, { ...failure, ownAddress: "192.0.2.5", reason: "" });
  await tally.flush();
  await reportsOf().look();
  await eventually(async () => assert.equal(taken.length, 1, server.log()));

  const content = taken[0] ?? "";
  assert.deepEqual(readdirSync(directory), []);
  assert.match(envelopes[0] ?? "", /^MAIL FROM:<postmaster@example\.org>/);
  assert.match(envelopes[1] ?? "", new RegExp(`^RCPT TO:<reports@${DOMAIN}>`));
  const resolver = async (name: string) => (zone.has(name) ? [[zone.get(name) ?? ""]] : []);
  const { results } = await dkimVerify(Buffer.from(content, "latin1"), { resolver });
  assert.deepEqual(
    results.map(({ status, signingDomain }) => `${status.result} ${signingDomain}`),
    ["pass example.org", "pass example.org"],
  );
  const header = content.slice(0, content.indexOf("\r\n\r\n"));
  assert.doesNotMatch(header, /[;\t ]l=/);
  assert.match(header, /^Content-Type: multipart\/report; report-type="?tlsrpt"?;/m);
  assert.match(header, /^TLS-Report-Domain: dest\.example\r$/m);
  assert.match(header, /^TLS-Report-Submitter: \S/m);

  const { subject, attachments } = await PostalMime.parse(content);
  assert.match(subject ?? "", /^Report Domain: dest\.example Submitter: \S+ Report-ID: <\S+>$/);
  const [report] = attachments;
  assert.equal(report?.mimeType, "application/tlsrpt+gzip");
  const told = JSON.parse(gunzipSync(report?.content as ArrayBuffer).toString());
  assert.equal(told["date-range"]["start-datetime"], `${day}T00:00:00Z`);
  assert.deepEqual(told.policies[0].summary, {
    "total-successful-session-count": 1,
    "total-failure-session-count": 1,
  });
  assert.equal(told.policies[0]["failure-details"][0]["result-type"], "starttls-not-supported");
});
