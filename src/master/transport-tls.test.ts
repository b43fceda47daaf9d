/** Tests of what `check` says of the TLS of delivery agents. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { formatProblem } from "../config/check.ts";
import { checkConfiguration } from "./check.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-check-tls-"));
after(() => rmSync(directory, { recursive: true }));
writeFileSync(join(directory, "words"), "no certificate\n");
writeFileSync(
  join(directory, "policy"),
  "good.test secure match=a.test\nbad.test secure matsch=a.test\n[odd.test] must\n",
);

const HINT = 'mail for it is deferred with "client TLS configuration problem"';
const CASES = [
  { set: ["smtp_tls_security_level = may"], want: [], why: "nothing to say" },
  {
    set: ["smtp_tls_security_level = secure"],
    want: [
      "main.cf:2: warning: no certificate can be verified: smtp_tls_CAfile and smtp_tls_CApath are empty; set smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt, or tls_append_default_CA = yes",
    ],
    why: "verification without CAs",
  },
  { set: ["smtp_tls_security_level = secure", "tls_append_default_CA = yes"], want: [], why: "the public CAs" },
  {
    set: ["smtp_tls_policy_maps = texthash:DIR/policy"],
    want: [
      `main.cf:2: warning: smtp_tls_policy_maps: texthash:DIR/policy: entry "[odd.test]": invalid security level "must"; ${HINT}`,
      `main.cf:2: warning: smtp_tls_policy_maps: texthash:DIR/policy: entry "bad.test": invalid attribute name: "matsch"; ${HINT}`,
    ],
    why: "entries that stop mail",
  },
  {
    set: ["smtp_tls_policy_maps = regexp:{{/a/ encrypt match=b}}"],
    want: [
      `main.cf:2: warning: smtp_tls_policy_maps: regexp:{{/a/ encrypt match=b}}: entry "/a/": attribute "match" invalid at security level "encrypt"; ${HINT}`,
    ],
    why: "rules of patterns",
  },
  {
    set: ["smtp_tls_security_level = dane"],
    want: ["main.cf:2: error: smtp_tls_security_level = dane needs smtp_dns_support_level = dnssec"],
    why: "DANE without DNSSEC",
  },
  {
    set: ["smtp_tls_security_level = dane", "smtp_dns_support_level = dnssec", "postern_dns_servers = 192.0.2.1:5353"],
    want: [],
    why: "DANE with a name server of the operator's choice",
  },
  {
    set: ["smtp_tls_security_level = may", "postern_dns_servers = [::1]:5353, ns.test"],
    want: ['main.cf:3: error: postern_dns_servers: "ns.test" is not an address with an optional port'],
    why: "a name server by name",
  },
  {
    set: ["smtp_tls_per_site = texthash:DIR/policy"],
    want: [
      "main.cf:2: error: smtp_tls_per_site is not supported; write its entries into smtp_tls_policy_maps: NONE is none, MAY is may, MUST_NOPEERMATCH is encrypt, MUST is verify",
    ],
    why: "the obsolete table",
  },
  {
    set: ["smtp_tls_security_level = may", "smtp_tls_mandatory_protocols = TLSv9"],
    want: ['main.cf:2: error: TLS of smtp: Invalid TLS protocol "TLSv9" in "TLSv9"'],
    why: "a version that does not exist",
  },
  {
    set: ["smtp_tls_CAfile = DIR/words"],
    want: ['error: TLS of smtp: Cannot use CA certificates "DIR/words": no certificate in it'],
    why: "a file without certificates",
  },
  {
    set: ["smtp_tls_CAfile = DIR/none"],
    want: ["main.cf:2: error: open DIR/none: No such file or directory; named by smtp_tls_CAfile"],
    why: "a file that is not there is named once",
  },
];

for (const { set, want, why } of CASES) {
  test(`checkConfiguration() of outgoing TLS: ${why}`, async () => {
    const here = (line: string) => line.replaceAll("DIR", directory);
    const mainCf = ["compatibility_level = 3.6", ...set].map((line) => `${here(line)}\n`).join("");
    const files = new Map([
      ["/cfg/main.cf", mainCf],
      ["/cfg/master.cf", ""],
    ]);
    const problems = await checkConfiguration({
      configDirectory: "/cfg",
      hostname: "mail.example.org",
      mailVersion: "0",
      readFile: async (path) => Buffer.from(files.get(path) ?? readFileSync(path)),
    });
    const got = problems.map(formatProblem).filter((line) => /tls|TLS|verified|dns_servers/.test(line));
    assert.deepEqual(got.map((line) => line.replace(/^\/cfg\//, "")).sort(), want.map(here).sort());
  });
}
