/** admin/account-documents.test.ts: the documents of some accounts against testdata/documents.ref (rewritten with
 *  POSTERN_UPDATE_GOLDEN=1; read the diff before committing it), and what must hold for any account. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { AccountServer, MailAccount } from "./account.ts";
import { accountDocuments, DOCUMENT_FORMATS, type DocumentFormat } from "./account-documents.ts";
import { autodiscoverJson } from "./autodiscover.ts";
import { srvRecords } from "./srv-records.ts";
import { escapeXml } from "./xml.ts";

const REFERENCE = new URL("./testdata/documents.ref", import.meta.url);

const TLS: AccountServer = {
  ...{ protocol: "smtp", host: "mail.example.org", port: 465, security: "tls" },
  mechanisms: ["SCRAM-SHA-256", "PLAIN", "LOGIN"],
};
const STARTTLS: AccountServer = { ...TLS, port: 587, security: "starttls" };
const IMAP: AccountServer = {
  ...{ protocol: "imap", host: "imap.example.org", port: 993, security: "tls" },
  mechanisms: [],
};
const POP3: AccountServer = { ...IMAP, protocol: "pop3", port: 110, security: "starttls" };
const ACCOUNT: MailAccount = {
  ...{ domain: "example.org", provider: "Example", login: "address" },
  outgoing: [TLS, STARTTLS],
  incoming: [IMAP],
};
const HOSTILE = `<&"'>]]>\u0007\ud800 Tom & Söhne`;

const ACCOUNTS: readonly { readonly account: MailAccount; readonly user?: string; readonly why: string }[] = [
  { account: ACCOUNT, user: "o'neil&co@example.org", why: "submission on both ports, IMAP" },
  {
    account: {
      ...{ domain: "xn--bcher-kva.example", provider: HOSTILE, login: "localpart" },
      outgoing: [{ ...STARTTLS, mechanisms: ["CRAM-MD5"] }],
      incoming: [POP3],
    },
    user: "a<b>@xn--bcher-kva.example",
    why: "STARTTLS only, POP3, local parts as logins, a hostile name",
  },
  { account: { ...ACCOUNT, outgoing: [TLS], incoming: [] }, why: "submission alone, for all users" },
];

function allOf(account: MailAccount, user: string | undefined): string {
  return DOCUMENT_FORMATS.map((format) => {
    const { documents, notes } = accountDocuments(format, account, user);
    const texts = documents.map(({ fileName, mediaType, text }) => `---- ${fileName} ${mediaType}\n${text}`);
    return [...texts, ...notes.map((note) => `---- note: ${note}\n`)].join("");
  }).join("");
}

test("DISC-01 DISC-02 DISC-03 DISC-05 DISC-06: the documents are what testdata/documents.ref says", () => {
  const text = ACCOUNTS.map(({ account, user, why }) => `######## ${why}\n\n${allOf(account, user)}\n`).join("");
  if (process.env["POSTERN_UPDATE_GOLDEN"]) writeFileSync(REFERENCE, text);
  assert.equal(text, readFileSync(REFERENCE, "utf8"));
});

function textOf(format: DocumentFormat, account: MailAccount, fileName: string): string {
  return accountDocuments(format, account, undefined).documents.find((one) => one.fileName === fileName)?.text ?? "";
}

test("DISC-06: the digest in the TXT record is that of the PACC document's bytes, and both stay the same", () => {
  const json = textOf("pacc", ACCOUNT, "user-agent-configuration.json");
  const digest = createHash("sha256").update(json).digest("base64");
  assert.equal(
    textOf("pacc", ACCOUNT, "pacc.zone"),
    `_ua-auto-config.example.org. IN TXT "v=UAAC1; a=sha256; d=${digest}"\n`,
  );
  assert.equal(textOf("pacc", { ...ACCOUNT }, "user-agent-configuration.json"), json);
});

const WITHOUT_PACC = [
  { account: { ...ACCOUNT, outgoing: [STARTTLS] }, why: "only STARTTLS" },
  { account: { ...ACCOUNT, outgoing: [{ ...TLS, port: 2465 }] }, why: "another port: the document names none" },
  { account: { ...ACCOUNT, login: "localpart" as const }, why: "logins are not addresses" },
];
for (const { account, why } of WITHOUT_PACC) {
  test(`DISC-06: no PACC document: ${why}`, () => {
    const { documents, notes } = accountDocuments("pacc", account, undefined);
    assert.deepEqual(documents, []);
    assert.match(notes[0] ?? "", /^no PACC document: PACC /);
  });
}

const PROTOCOLS = [
  { in: "AutodiscoverV1", want: 200 },
  { in: "autodiscoverv1", want: 200 },
  { in: "ActiveSync", want: 400 },
  { in: "EWS", want: 400 },
  { in: '"><script>', want: 400 },
];
for (const c of PROTOCOLS) {
  test(`DISC-04: autodiscoverJson() Protocol=${c.in}`, () => {
    const { status, body } = autodiscoverJson(ACCOUNT, c.in);
    assert.equal(status, c.want);
    assert.ok(c.want === 200 ? JSON.parse(body).Url : JSON.parse(body).ErrorCode === "ProtocolNotSupported");
    assert.doesNotMatch(body, /script/);
  });
}

const SRV = [
  {
    account: ACCOUNT,
    want: ["_submissions._tcp 0 465", "_submission._tcp 10 587", "_imaps._tcp 0 993", "_imap._tcp ."],
  },
  {
    account: { ...ACCOUNT, outgoing: [STARTTLS], incoming: [] },
    want: ["_submissions._tcp .", "_submission._tcp 10 587"],
  },
  { account: { ...ACCOUNT, outgoing: [TLS], incoming: [] }, want: ["_submissions._tcp 0 465", "_submission._tcp ."] },
];
for (const [i, { account, want }] of SRV.entries()) {
  test(`DISC-01: srvRecords() prefers implicit TLS and denies what is absent (${i + 1})`, () => {
    const found = srvRecords(account).map(({ name, priority, port, target }) => {
      const label = name.replace(".example.org", "");
      return target === "" ? `${label} .` : `${label} ${priority} ${port}`;
    });
    assert.deepEqual(found, want);
  });
}

test("DISC-05: a profile for a user has the same UUIDs each time, and others for another user", () => {
  const uuids = (user: string) =>
    accountDocuments("mobileconfig", ACCOUNT, user).documents[0]?.text.match(
      /[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}/g,
    );
  assert.equal(uuids("a@example.org")?.length, 2);
  assert.deepEqual(uuids("a@example.org"), uuids("a@example.org"));
  assert.notDeepEqual(uuids("a@example.org"), uuids("b@example.org"));
});

test("escapeXml() lets any text through, and nothing that XML would read", () => {
  const back = (xml: string) =>
    xml.replace(/&(amp|lt|gt|quot|apos);/g, (_all, name: string) => {
      return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name] ?? "";
    });
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const escaped = escapeXml(text);
      assert.doesNotMatch(escaped, /[<>"'\x00-\x08\x0b\x0c\x0e-\x1f]|&(?!(?:amp|lt|gt|quot|apos);)/);
      assert.equal(
        back(escaped),
        text.toWellFormed().replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g, "\ufffd"),
      );
    }),
  );
});
