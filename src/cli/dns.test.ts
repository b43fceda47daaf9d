/** cli/dns.test.ts: `postern dns check` against a name server on loopback: what it prints, against testdata/dns.ref (rewritten
 *  with POSTERN_UPDATE_GOLDEN=1; read the diff before committing it), its command line and its exit codes. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Answer } from "dns-packet";
import { runCommand } from "../../test/testbed/captured-terminal.ts";
import { type Zone, ZoneServer } from "../dns/testdata/zone-server.ts";
import { dns } from "./dns.ts";

const REFERENCE = new URL("./testdata/dns.ref", import.meta.url);
const SUBMIT = "-o smtpd_sasl_auth_enable=yes -o { smtpd_recipient_restrictions = permit_sasl_authenticated, reject }";

interface Line {
  readonly name: string;
  readonly type: string;
  readonly data: unknown;
}

function zone(...records: readonly Line[]): Zone {
  const byKey = Map.groupBy(records, ({ name, type }) => `${name} ${type}`);
  return Object.fromEntries([...byKey].map(([key, answers]) => [key, { answers: answers as unknown as Answer[] }]));
}

const POOR = zone(
  { name: "example.org", type: "MX", data: { preference: 10, exchange: "mail.example.org" } },
  { name: "mail.example.org", type: "A", data: "192.0.2.5" },
  { name: "mail.example.org", type: "AAAA", data: "2001:db8::5" },
  { name: "5.2.0.192.in-addr.arpa", type: "PTR", data: "Mail.Example.ORG" },
  { name: "example.org", type: "TXT", data: ["v=spf1 ip4:192.0.2.5", " -all"] },
  { name: "example.org", type: "TXT", data: ["\u001b[31mtoken"] },
  { name: "_dmarc.example.org", type: "TXT", data: [`v=DMARC1; p=none; rua=mailto:${"a".repeat(60)}@reports.test`] },
  {
    name: "_submissions._tcp.example.org",
    type: "SRV",
    data: { priority: 0, weight: 1, port: 465, target: "\u001b.test" },
  },
  { name: "_smtp._tls.example.org", type: "TXT", data: ["v=TLSRPTv1; rua=mailto:tls@example.org"] },
  { name: "example.org", type: "CAA", data: { flags: 0, tag: "issue", value: "letsencrypt.org" } },
);

const SENDS_ONLY = zone(
  { name: "example.com", type: "MX", data: { preference: 10, exchange: "mx.example.net" } },
  { name: "mx.example.net", type: "A", data: "198.51.100.1" },
  { name: "example.com", type: "TXT", data: ["v=spf1 ip4:203.0.113.7 ~all"] },
  { name: "_dmarc.example.com", type: "TXT", data: ["v=DMARC1; p=reject; rua=mailto:d@example.com"] },
  { name: "7.113.0.203.in-addr.arpa", type: "PTR", data: "relay.example.net" },
  { name: "relay.example.net", type: "A", data: "203.0.113.7" },
);

let directory: string;
let server: ZoneServer;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "postern-dns-"));
  writeFileSync(
    join(directory, "main.cf"),
    `compatibility_level = 3.10\nmyhostname = mail.example.org\nmydomain = example.org\nmydestination = example.org\n` +
      `smtpd_tls_security_level = may\nrelay_domains =\nalias_maps = inline:{ postmaster=root }\npostern_user_file = ${directory}/users\n`,
  );
  writeFileSync(
    join(directory, "master.cf"),
    `smtp inet n - n - - smtpd\nsubmissions inet n - n - - smtpd -o smtpd_tls_wrappermode=yes ${SUBMIT}\n`,
  );
  server = await ZoneServer.start({ ...POOR, ...SENDS_ONLY });
});
after(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

const run = (...args: string[]) => runCommand(dns, args, { configDirectory: directory });
const check = (...args: string[]) => run("check", ...args, "--resolver", `127.0.0.1:${server.port}`);

test("SPF-01 DMARC-02 DISC-01: what dns check prints is what testdata/dns.ref says", async () => {
  const runs = [["example.org"], ["example.com", "--address", "203.0.113.7"], ["nothing.test"]];
  const texts: string[] = [];
  for (const args of runs) {
    const { code, out, err } = await check(...args);
    texts.push(`######## ${args.join(" ")}: exit ${code}\n\n${out.replace(/id=\d{14}/, "id=TIME")}${err}\n`);
  }
  if (process.env["POSTERN_UPDATE_GOLDEN"]) writeFileSync(REFERENCE, texts.join(""));
  assert.equal(texts.join(""), readFileSync(REFERENCE, "utf8"));
  const long = texts
    .join("")
    .split("\n")
    .filter((line) => line.length > 100 && !line.includes("publish: "));
  assert.deepEqual(long, []);
  assert.doesNotMatch(texts.join(""), /\x1b/);
});

test("--json holds the same, and each record to publish", async () => {
  const { code, out } = await check("example.org", "--json");
  assert.equal(code, 1);
  const { domain, addresses, findings } = JSON.parse(out);
  assert.equal(domain, "example.org");
  assert.deepEqual(addresses, ["192.0.2.5", "2001:db8::5"]);
  const spf = findings.find((one: { topic: string; state: string }) => one.topic === "SPF" && one.state === "wrong");
  assert.deepEqual(spf.publish, ['example.org. IN TXT "v=spf1 ip4:192.0.2.5 ip6:2001:db8::5 -all"']);
});

test("a name server that does not answer is exit 75, soon", async () => {
  const { code, out } = await run("check", "example.org", "--resolver", "127.0.0.1:9");
  assert.equal(code, 75);
  assert.match(out, /^unknown {3}MX {7}example\.org\n {19}no name server answers/m);
});

const USAGE = [
  { args: ["check"], says: /expected one DOMAIN/ },
  { args: ["check", "localhost"], says: /no domain name/ },
  { args: ["check", "a.test", "b.test"], says: /expected one DOMAIN/ },
  { args: ["chek", "a.test"], says: /"chek": unknown command/ },
  { args: ["check", "a.test", "--resolver", "ns.test"], says: /--resolver: no address: "ns\.test"/ },
  { args: ["check", "a.test", "--address", "host"], says: /--address: no IP address/ },
  { args: ["check", "a.test", "--mx", "host"], says: /--mx: no host name/ },
];
for (const { args, says } of USAGE) {
  test(`dns ${args.join(" ")}: usage`, async () => {
    const { code, err } = await run(...args);
    assert.equal(code, 64);
    assert.match(err, says);
  });
}
test("dns alone says how", async () => assert.equal((await run()).code, 0));
