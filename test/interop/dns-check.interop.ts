/** `postern dns check` against Knot DNS and Unbound: the lines that it says to publish, put into signed zones as they are, make it
 *  say that all is right. The documents of `postern autoconfig` are read by Python's parsers. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { autoconfig } from "../../src/cli/autoconfig.ts";
import { dkim } from "../../src/cli/dkim.ts";
import { dns } from "../../src/cli/dns.ts";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { runCommand } from "../testbed/captured-terminal.ts";
import { hasSignedDns, SignedDns, type SignedZone } from "../testbed/signed-dns.ts";

interface Finding {
  readonly state: string;
  readonly topic: string;
  readonly name: string;
  readonly publish: readonly string[];
}

const DOMAIN = "check.test";
const ADDRESS = "5.6.7.8";
const REVERSE = "7.6.5.in-addr.arpa";
const SUBMIT = "-o smtpd_sasl_auth_enable=yes -o { smtpd_recipient_restrictions = permit_sasl_authenticated, reject }";

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "postern-dns-check-"));
  const made = makeSelfSigned([`mail.${DOMAIN}`], Date.now());
  writeFileSync(join(directory, "site.pem"), made.keyPem + made.certificatePem);
  writeFileSync(
    join(directory, "main.cf"),
    `compatibility_level = 3.10
myhostname = mail.${DOMAIN}
mydomain = ${DOMAIN}
mydestination = ${DOMAIN}
local_recipient_maps =
luser_relay = root
smtpd_tls_security_level = may
smtpd_tls_chain_files = ${directory}/site.pem
postern_dkim_signing_file = ${directory}/dkim/keys
postern_user_file = ${directory}/users
postern_autoconfig_imap = imap.${DOMAIN}
postern_autoconfig_name = Tom & Jerry's <mail>
`,
  );
  writeFileSync(
    join(directory, "master.cf"),
    `smtp inet n - n - - smtpd
submission inet n - n - - smtpd ${SUBMIT}
submissions inet n - n - - smtpd -o smtpd_tls_wrappermode=yes ${SUBMIT}
`,
  );
});
after(() => rmSync(directory, { recursive: true }));

async function published(lines: ReadonlySet<string>): Promise<SignedDns> {
  const own = [...lines];
  const zones: readonly SignedZone[] = [
    { name: DOMAIN, records: own.filter((line) => !line.includes(REVERSE)).join("\n"), trust: "signed" },
    { name: REVERSE, records: own.filter((line) => line.includes(REVERSE)).join("\n"), trust: "unsigned" },
  ];
  return SignedDns.start(zones);
}

async function check(resolver: string): Promise<{ readonly code: number; readonly findings: readonly Finding[] }> {
  const { code, out } = await runCommand(dns, ["check", DOMAIN, "--json", "--resolver", resolver], {
    configDirectory: directory,
  });
  return { code, findings: JSON.parse(out).findings };
}

describe("dns check by Knot DNS and Unbound", { skip: !hasSignedDns() && "not installed", timeout: 120_000 }, () => {
  test("DISC-01 SPF-01 DMARC-01: what it says to publish makes it say that all is right", async () => {
    const run = await runCommand(dkim, ["generate", DOMAIN], { configDirectory: directory });
    assert.equal(run.code, 0, run.err);
    const keys = join(directory, "dkim/keys");
    writeFileSync(keys, readFileSync(keys, "utf8").replaceAll(/ publish$/gm, " sign"));
    const lines = new Set([`mail.${DOMAIN}. IN A ${ADDRESS}`, `imap.${DOMAIN}. IN A ${ADDRESS}`]);
    let last: readonly Finding[] = [];
    for (let round = 0; round < 3; round++) {
      const served = await published(lines);
      try {
        const { code, findings } = await check(`127.0.0.1:${served.port}`);
        last = findings;
        const before = lines.size;
        // The policy of MTA-STS is a file on a web server, which is not there.
        for (const { topic, publish } of findings) if (topic !== "MTA-STS") for (const line of publish) lines.add(line);
        if (lines.size > before) continue;
        assert.equal(code, 0);
        const late = await check(`127.0.0.1:${served.latePort}`);
        assert.equal(late.code, 75, "signatures that are over are SERVFAIL: nothing is known then");
        break;
      } finally {
        await served.stop();
      }
    }
    const rest = last.filter(({ state }) => state !== "ok").map(({ state, topic }) => `${state} ${topic}`);
    assert.deepEqual(rest, ["optional MTA-STS"]);
    const topics = new Set(last.map(({ topic }) => topic));
    for (const topic of ["MX", "A", "PTR", "SPF", "DKIM", "DMARC", "SRV", "TLSA", "TLSRPT"])
      assert.ok(topics.has(topic));
  });
});

const READERS = {
  "config-v1.1.xml": `
root = xml.etree.ElementTree.parse(path).getroot()
assert root.find("emailProvider/displayName").text == "Tom & Jerry's <mail>"
assert [s.find("port").text for s in root.iter("outgoingServer")] == ["465", "587"]`,
  "autodiscover.xml": `
ns = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
protocols = list(xml.etree.ElementTree.parse(path).getroot().iter(ns + "Protocol"))
assert [p.find(ns + "Type").text for p in protocols] == ["IMAP", "SMTP"]
assert all(p.find(ns + "LoginName").text == "o'neil&co@check.test" for p in protocols)`,
  [`${DOMAIN}.mobileconfig`]: `
profile = plistlib.load(open(path, "rb"))
mail = profile["PayloadContent"][0]
assert mail["EmailAddress"] == "o'neil&co@check.test"
assert mail["OutgoingMailServerPortNumber"] == 465 and mail["OutgoingMailServerUseSSL"] is True
uuid.UUID(profile["PayloadUUID"]); uuid.UUID(mail["PayloadUUID"])`,
  "user-agent-configuration.json": `
document = json.load(open(path))
assert document["protocols"]["submit"] == {"host": "mail.check.test"}
digest = base64.b64encode(hashlib.sha256(open(path, "rb").read()).digest()).decode()
assert digest in open(path.replace("user-agent-configuration.json", "pacc.zone")).read()`,
};

const hasPython = spawnSync("python3", ["-c", ""]).status === 0;
test("DISC-02 DISC-03 DISC-05 DISC-06: other parsers read the documents", {
  skip: !hasPython && "no python3",
}, async () => {
  const out = join(directory, "out");
  const args = [DOMAIN, "--user", "o'neil&co@check.test", "--out", out];
  assert.equal((await runCommand(autoconfig, args, { configDirectory: directory })).code, 0);
  for (const [name, script] of Object.entries(READERS)) {
    const program = `import base64, hashlib, json, plistlib, sys, uuid, xml.etree.ElementTree\npath = sys.argv[1]${script}\n`;
    const { status, stderr } = spawnSync("python3", ["-c", program, join(out, name)], { encoding: "utf8" });
    assert.equal(status, 0, `${name}: ${stderr}`);
  }
});
