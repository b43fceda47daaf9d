/** cli/dns-site.test.ts: what `postern dns check` takes from the configuration. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Site, SMTP, SUBMISSION, SUBMISSIONS, snapshotOf } from "../admin/testdata/site.ts";
import { CLEAR, closeTlsServers, startTlsServer } from "../admin/testdata/tls-server.ts";
import { generateKey } from "../dkim/key.ts";
import { makeSelfSigned } from "../net/self-signed.ts";
import { readSite } from "./dns-site.ts";

const made = makeSelfSigned(["mail.example.org"], Date.now());
const CHAIN = "/etc/postern/site.pem";
const files = { [CHAIN]: made.keyPem + made.certificatePem + made.certificatePem };
const OPTIONS = { domain: "example.org", addresses: [], exchangers: [], validates: false };

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "postern-dns-site-"));
  writeFileSync(join(directory, "k.pem"), generateKey("ed25519-sha256"));
  writeFileSync(
    join(directory, "keys"),
    "example.org s1 k.pem\nexample.net s2 k.pem\n.example.org s3 gone.pem publish\n",
  );
  writeFileSync(join(directory, "bad"), "nonsense\n");
});
after(() => {
  closeTlsServers();
  rmSync(directory, { recursive: true });
});

const RECEIVES: readonly (Site & { readonly want: boolean; readonly why: string })[] = [
  { main: "mydestination = example.org\n", want: true, why: "mydestination" },
  { main: "mydestination =\nrelay_domains = example.org\n", want: true, why: "relay_domains" },
  {
    main: "mydestination =\nvirtual_mailbox_domains = hash:/etc/postern/domains\n",
    files: { "/etc/postern/domains": "example.org x\n" },
    want: true,
    why: "a table of virtual_mailbox_domains",
  },
  { main: "mydestination = example.net\nrelay_domains =\n", want: false, why: "no list has it" },
  {
    main: "mydestination = example.org\n",
    master: SUBMISSION + SUBMISSIONS,
    want: false,
    why: "no service takes mail from other servers",
  },
];
for (const { want, why, ...site } of RECEIVES) {
  test(`readSite() mail for the domain is taken here: ${why}`, async () => {
    assert.equal((await readSite(await snapshotOf(site), OPTIONS)).receives, want);
  });
}

/** root is an account of every machine. */
const MAILBOXES: readonly (Site & { readonly of: string; readonly want: string; readonly why: string })[] = [
  { of: "postmaster@example.org", main: "alias_maps = inline:{ postmaster=root }\n", want: "taken", why: "an alias" },
  { of: "Abuse@Example.ORG", main: "alias_maps = inline:{ abuse=root }\n", want: "taken", why: "in any case" },
  {
    of: "abuse+list@example.org",
    main: "alias_maps = inline:{ abuse=root }\nrecipient_delimiter = +\n",
    want: "taken",
    why: "with an extension",
  },
  { of: "root@example.org", main: "alias_maps =\n", want: "taken", why: "an account" },
  {
    of: "postmaster@example.org",
    main: "alias_maps = inline:{ other=root }\n",
    want: "refused",
    why: "NAM-01: RCPT takes the postmaster of a local domain, but neither alias nor account of that name is there",
  },
  { of: "abuse@example.org", main: "alias_maps =\n", want: "refused", why: "no alias, no account" },
  {
    of: "abuse@example.org",
    main: "alias_maps =\nlocal_recipient_maps =\n",
    want: "refused",
    why: "RCPT takes all, the local agent does not",
  },
  {
    of: "abuse@example.org",
    main: "alias_maps =\nlocal_recipient_maps =\nluser_relay = root\n",
    want: "taken",
    why: "a catch-all of the local agent",
  },
  {
    of: "abuse@example.org",
    main: "alias_maps =\nlocal_recipient_maps =\nlocal_transport = lmtp:unix:private/lmtp\n",
    want: "taken",
    why: "another program has the mailboxes",
  },
  {
    of: "abuse@example.org",
    main: "alias_maps =\nvirtual_alias_maps = inline:{ { abuse@example.org = x@y.test } }\n",
    want: "taken",
    why: "a virtual alias in a local domain",
  },
  {
    of: "abuse@v.test",
    main: "virtual_mailbox_domains = v.test\nvirtual_mailbox_maps = inline:{ { x@v.test = x/ } }\n",
    want: "refused",
    why: "a virtual domain without it",
  },
  {
    of: "abuse@v.test",
    main: "virtual_alias_domains = v.test\nvirtual_alias_maps = inline:{ { @v.test = x@y.test } }\n",
    want: "taken",
    why: "a catch-all",
  },
  {
    of: "abuse@r.test",
    main: "relay_domains = r.test\nrelay_recipient_maps = inline:{ { x@r.test = x } }\n",
    want: "refused",
    why: "a relay domain that lists its recipients",
  },
  { of: "abuse@else.test", main: "", want: "elsewhere", why: "no domain of ours" },
  {
    of: "abuse@r.test",
    main: "relay_domains = r.test\nrelay_recipient_maps = tcp:127.0.0.1:9\n",
    want: "unknown",
    why: "a table that does not answer",
  },
];
for (const { of, want, why, main = "" } of MAILBOXES) {
  test(`readSite() mailboxes: ${of}: ${why}`, async () => {
    const passwd = { "/etc/passwd": "root:x:0:0::/root:/bin/sh\n" };
    const snapshot = await snapshotOf({ main: `mydestination = example.org\n${main}`, files: passwd });
    const site = await readSite(snapshot, OPTIONS);
    assert.equal((await site.mailboxes([of])).get(of), want);
  });
}

const ADDRESSES = [
  { main: "", want: [], why: "none is named: those of the host in DNS count" },
  { main: "smtp_bind_address = 203.0.113.7\nsmtp_bind_address6 = 2001:DB8::7\n", want: ["203.0.113.7", "2001:db8::7"] },
  ...["10.1.2.3", "192.168.1.1", "172.20.0.1", "100.64.0.1", "169.254.1.1", "127.0.0.1"].map((one) => ({
    main: `smtp_bind_address = ${one}\n`,
    want: [],
    why: `nobody outside sees ${one}`,
  })),
  { main: "smtp_bind_address6 = fd00::1\n", want: [], why: "nor fd00::1" },
  {
    main: "smtp_bind_address = 203.0.113.7\n",
    given: ["198.51.100.1"],
    want: ["198.51.100.1"],
    why: "the operator knows better",
  },
];
for (const { main, want, given = [], why = main } of ADDRESSES) {
  test(`readSite() addresses: ${why.trim()}`, async () => {
    const site = await readSite(await snapshotOf({ main }), { ...OPTIONS, addresses: given });
    assert.deepEqual(site.addresses, want);
  });
}

const CERTIFICATES = [
  { main: `smtpd_tls_chain_files = ${CHAIN}\n`, want: [2], why: "a chain file" },
  { main: `smtpd_tls_cert_file = ${CHAIN}\nsmtpd_tls_eccert_file = ${CHAIN}\n`, want: [2], why: "a certificate file" },
  {
    main: "smtpd_tls_chain_files = /etc/postern/gone.pem\n",
    master: "127.0.0.1:9 inet n - n - - smtpd\n",
    want: undefined,
    why: "a file that cannot be read, and nobody answers",
  },
  { main: "smtpd_tls_security_level = none\n", want: [], why: "no TLS" },
];
for (const { main, master = SMTP, want, why } of CERTIFICATES) {
  test(`readSite() certificates: ${why}`, async () => {
    const { certificates } = await readSite(await snapshotOf({ main, master, files }), OPTIONS);
    assert.deepEqual(
      certificates?.map((chain) => chain.length),
      want,
    );
  });
}

test("readSite() certificates: what the running service shows, where the file cannot be read", async () => {
  const port = await startTlsServer({ clear: CLEAR }, made, false);
  const site = {
    main: "smtpd_tls_chain_files = /etc/postern/gone.pem\n",
    master: `127.0.0.1:${port} inet n - n - - smtpd\n`,
  };
  const { certificates } = await readSite(await snapshotOf(site), OPTIONS);
  assert.match(certificates?.[0]?.[0]?.subjectAltName ?? "", /mail\.example\.org/);
});

test("readSite() addresses: the smtp line of master.cf may name them", async () => {
  const master = `${SMTP}smtp unix - - n - - smtp -o smtp_bind_address=203.0.113.7\n`;
  assert.deepEqual((await readSite(await snapshotOf({ master }), OPTIONS)).addresses, ["203.0.113.7"]);
});

test("readSite() keys: those of the domain, with why one cannot be read", async () => {
  const at = (name: string) => ({ main: `postern_dkim_signing_file = ${directory}/${name}\n` });
  const { keys, keysProblem } = await readSite(await snapshotOf(at("keys")), OPTIONS);
  assert.equal(keysProblem, undefined);
  assert.deepEqual(
    keys.map(({ line, key }) => `${line.selector} ${key?.algorithm}`),
    ["s1 ed25519-sha256", "s3 undefined"],
  );
  assert.match(keys[1]?.problem ?? "", /ENOENT/);
  assert.match((await readSite(await snapshotOf(at("bad")), OPTIONS)).keysProblem ?? "", /bad:1: /);
  assert.deepEqual((await readSite(await snapshotOf({}), OPTIONS)).keys, []);
});

test("readSite() knows of milters, also of those of one service, and of the relay host", async () => {
  const none = await readSite(await snapshotOf({}), OPTIONS);
  assert.equal(none.milters, false);
  assert.equal(none.relayhost, "");
  const master = "smtp inet n - n - - smtpd -o smtpd_milters=inet:localhost:8891\n";
  const site = await readSite(await snapshotOf({ main: "relayhost = [relay.test]\n", master }), OPTIONS);
  assert.equal(site.milters, true);
  assert.equal(site.relayhost, "[relay.test]");
  assert.equal(site.account, undefined);
});
