/** admin/check-mailboxes.test.ts: as dns-check.test.ts, for the mailboxes of a domain. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, mailboxesAre, type Row, testRows } from "./testdata/right-site.ts";

const refused = (...names: readonly string[]) => ({
  mailboxes: mailboxesAre(Object.fromEntries(names.map((name) => [`${name}@example.org`, "refused"]))),
});

const MAILBOXES: readonly Row[] = [
  {
    site: refused("postmaster"),
    want: "missing MAILBOX postmaster@example.org",
    says: /^every domain that takes mail must have it .* this server refuses it: add an alias$/,
    why: "NAM-01: no postmaster",
  },
  {
    site: refused("abuse"),
    want: "missing MAILBOX abuse@example.org",
    says: /RFC 2142 §4/,
    why: "NAM-01: nobody hears complaints",
  },
  {
    site: refused("security", "noc"),
    want: "optional MAILBOX security@example.org, noc@example.org",
    why: "NAM-01: what not everybody needs, in one line",
  },
  {
    site: refused("dmarc"),
    want: "wrong MAILBOX dmarc@example.org",
    says: /^a record of the domain has reports sent there, but this server refuses it/,
    why: "the record of DMARC names nobody",
  },
  { site: refused("tls"), want: "wrong MAILBOX tls@example.org", why: "the record of TLS reports names nobody" },
  {
    zone: { "_dmarc.example.org TXT": ["v=DMARC1; p=reject; rua=mailto:reports@example.org!10m,mailto:x@other.test"] },
    site: refused("reports"),
    want: "wrong MAILBOX reports@example.org",
    why: "an address with the old limit of size",
  },
  {
    site: { mailboxes: mailboxesAre({ "postmaster@example.org": "unknown", "noc@example.org": "unknown" }) },
    want: "unknown MAILBOX postmaster@example.org",
    says: /lookup table does not answer/,
    why: "a table is down",
  },
];
testRows({ MAILBOXES });

async function mailboxFindings(change: Parameters<typeof check>[0]) {
  const { findings } = await check(change);
  return findings.filter(({ topic }) => topic === "MAILBOX").map(({ state, found }) => `${state} ${found.join()}`);
}

test("checkDns() names the mailboxes that are there, those of reports too", async () => {
  const names = ["postmaster", "abuse", "security", "noc", "hostmaster", "dmarc", "tls"];
  assert.deepEqual(await mailboxFindings({}), [`ok ${names.map((name) => `${name}@example.org`).join(", ")}`]);
});

test("checkDns() asks for no mailbox of a domain whose mail goes elsewhere", async () => {
  assert.deepEqual(await mailboxFindings({ site: { receives: false, ...refused("postmaster") } }), []);
});

test("checkDns() says nothing of reports to an address that another server has", async () => {
  const elsewhere = { mailboxes: mailboxesAre({ "tls@example.org": "elsewhere", "dmarc@example.org": "elsewhere" }) };
  const [only, ...more] = await mailboxFindings({ site: elsewhere });
  assert.doesNotMatch(only ?? "", /dmarc|tls/);
  assert.deepEqual(more, []);
});
