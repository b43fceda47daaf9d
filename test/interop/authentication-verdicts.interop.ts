/** Verdicts on SPF, DKIM, DMARC and ARC beside those of rspamd, which finds them in another way: the same messages, the same zone, in
 *  which the list of public suffixes (RFC 7489), by which rspamd goes, and the tree walk (RFC 9989) lead to the same. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createAuthenticator } from "../../src/authentication/create.ts";
import { fieldsOf, KEY_FILES, keyRecord, signed } from "../../src/authentication/testdata/zone.ts";
import { systemClock } from "../../src/base/clock.ts";
import { parametersOf } from "../../src/config/parameters.ts";
import { createDns } from "../../src/dns/create.ts";
import type { Dns } from "../../src/dns/resolver.ts";
import { type Zone, ZoneServer } from "../../src/dns/testdata/zone-server.ts";
import { Log } from "../../src/log/log.ts";
import type { CameField } from "../../src/mail/message-authentication.ts";
import { hasRspamd, Rspamd } from "./rspamd.ts";

const TEXTS: Readonly<Record<string, string>> = {
  "good.test": "v=spf1 ip4:192.0.2.0/24 -all",
  "sub.good.test": "v=spf1 ip4:192.0.2.0/24 -all",
  "soft.test": "v=spf1 ip4:192.0.2.0/24 ~all",
  "neutral.test": "v=spf1 ?all",
  "strict.test": "v=spf1 ip4:192.0.2.0/24 -all",
  "mail.strict.test": "v=spf1 ip4:192.0.2.0/24 -all",
  "_dmarc.good.test": "v=DMARC1; p=reject",
  "_dmarc.soft.test": "v=DMARC1; p=quarantine",
  "_dmarc.neutral.test": "v=DMARC1; p=none",
  "_dmarc.strict.test": "v=DMARC1; p=reject; aspf=s; adkim=s",
  "_dmarc.parent.test": "v=DMARC1; p=none; sp=quarantine",
  "s._domainkey.good.test": keyRecord("rsa"),
  "e._domainkey.good.test": keyRecord("ed25519"),
  "s._domainkey.mail.strict.test": keyRecord("rsa"),
  "s._domainkey.soft.test": keyRecord("rsa"),
};

const SPF: Readonly<Record<string, string>> = {
  ...{ pass: "R_SPF_ALLOW", fail: "R_SPF_FAIL", softfail: "R_SPF_SOFTFAIL", neutral: "R_SPF_NEUTRAL" },
  ...{ none: "R_SPF_NA", permerror: "R_SPF_PERMFAIL", temperror: "R_SPF_DNSFAIL" },
};
const DKIM: Readonly<Record<string, string>> = {
  ...{ pass: "R_DKIM_ALLOW", fail: "R_DKIM_REJECT", none: "R_DKIM_NA", neutral: "R_DKIM_PERMFAIL" },
};
const ARC: Readonly<Record<string, string>> = { pass: "ARC_ALLOW", fail: "ARC_REJECT", none: "ARC_NA" };
const FAILED: Readonly<Record<string, string>> = {
  ...{ reject: "DMARC_POLICY_REJECT", quarantine: "DMARC_POLICY_QUARANTINE", none: "DMARC_POLICY_SOFTFAIL" },
};

interface Case {
  readonly ip: string;
  readonly sender: string;
  readonly author: string;
  readonly signature:
    | { readonly domain: string; readonly selector: string; readonly algorithm?: "ed25519" }
    | undefined;
  readonly changed: boolean;
}

const SENDERS = ["good.test", "sub.good.test", "soft.test", "neutral.test", "none.test", "mail.strict.test"];
const AUTHORS = [
  "good.test",
  "news.good.test",
  "soft.test",
  "neutral.test",
  "strict.test",
  "none.test",
  "a.parent.test",
];
const SIGNATURES = [
  undefined,
  { domain: "good.test", selector: "s" },
  { domain: "good.test", selector: "e", algorithm: "ed25519" as const },
  { domain: "good.test", selector: "gone" },
  { domain: "mail.strict.test", selector: "s" },
  { domain: "soft.test", selector: "s" },
];

/** Every sender with every author and every signature. Without what rspamd does otherwise than RFC 7208 says: it passes over mechanisms that
 *  it does not know. */
function cases(): readonly Case[] {
  const all: Case[] = [];
  for (const [i, sender] of SENDERS.entries()) {
    for (const [j, author] of AUTHORS.entries()) {
      for (const [k, signature] of SIGNATURES.entries()) {
        const n = i + j + k;
        // Which of two faults is told first is nobody's business.
        const changed = n % 3 === 2 && signature?.selector !== "gone";
        all.push({ ip: n % 2 === 0 ? "192.0.2.7" : "198.51.100.7", sender, author, signature, changed });
      }
    }
  }
  return all;
}

/** Answer to "name TYPE". */
function textOfNobody(key: string): Zone[string] {
  const [name = "", type] = key.split(" ");
  return type === "TXT" ? { answers: [{ type, name, ttl: 60, data: "nothing" }] } : { rcode: 3 };
}

describe("rspamd", { concurrency: false, timeout: 180_000, skip: !hasRspamd() && "not installed, or not root" }, () => {
  let names: ZoneServer;
  let dns: Dns;
  let rspamd: Rspamd;

  before(async () => {
    const zone = Object.entries(TEXTS).map(([name, text]) => {
      const data = text.match(/.{1,255}/g) ?? [];
      return [`${name} TXT`, { answers: [{ type: "TXT" as const, name, ttl: 60, data }] }] as const;
    });
    // It takes no empty answer about TXT for one: whoever has nothing to say says so.
    const elsewhere = { get: (known: Zone, key: string) => known[key] ?? textOfNobody(key) };
    names = await ZoneServer.start(new Proxy<Zone>(Object.fromEntries(zone), elsewhere));
    dns = createDns({ clock: systemClock, hostsText: "", servers: [`127.0.0.1:${names.port}`] });
    rspamd = await Rspamd.start(names.port);
  });
  after(async () => {
    await rspamd?.stop();
    dns?.close();
    await names?.stop();
  });

  /** Takes a message as a host does: what it says of it, and the message with results and seal. */
  async function take(fields: readonly CameField[], body: string, { ip, sender }: Pick<Case, "ip" | "sender">) {
    const params = parametersOf({
      ...{ myhostname: "mx.test", postern_authentication_results: "yes", postern_arc_seal: "yes" },
      ...{ postern_arc_seal_domain: "good.test", postern_dkim_signing_file: "/keys" },
    });
    const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
    const parts = { dns, files: KEY_FILES, role: "mx", asked: false, clock: systemClock, log } as const;
    const message = createAuthenticator(params, parts)?.begin({
      ...{ clientAddress: ip, helo: "h.test", sender: `a@${sender}`, login: undefined, trusted: false },
    });
    assert.ok(message);
    const kept = await message.header(fields);
    message.update(Buffer.from(body, "latin1"));
    const seal = message.beginSeal();
    seal?.update(Buffer.from(body, "latin1"));
    const verdict = await message.verdict();
    assert.ok(verdict);
    const spf = (await message.spf()).find(({ identity }) => identity === "mailfrom")?.result ?? "none";
    const stored = [...fieldsOf(verdict.field), ...kept];
    const sealed = (await seal?.sign(stored))?.fields ?? [];
    const dkim = /\tdkim=([a-z]+)/.exec(verdict.field)?.[1] ?? "";
    return { ...verdict, spf, dkim, fields: [...sealed.flatMap(fieldsOf), ...stored] };
  }

  const textOf = (fields: readonly CameField[], body: string) =>
    `${fields.map(({ text }) => text).join("\r\n")}\r\n\r\n${body}`;

  const HEADER = (author: string) =>
    `From: A <a@${author}>\r\nTo: b@y.test\r\nSubject: s\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x.test>`;

  test(`SPF-01, DKIM-01, DKIM-02, DMARC-01: says the same of ${cases().length} messages, and of the ARC seal on each`, async () => {
    const wrong: string[] = [];
    for (const one of cases()) {
      const { signature, author, changed } = one;
      const [body, came] = ["one\r\n two \r\n\r\n", changed ? "another\r\n" : "one\r\n two \r\n\r\n"];
      const nowMs = systemClock.now() - 1000;
      const fields = signature ? await signed(HEADER(author), body, { ...signature, nowMs }) : fieldsOf(HEADER(author));
      const ours = await take(fields, came, one);
      const from = { ip: one.ip, helo: "h.test", from: `a@${one.sender}` };
      const theirs = await rspamd.symbols(textOf(fields, came), from);
      const sealed = await rspamd.symbols(textOf(ours.fields, came), from);
      const { dmarc } = ours;
      const policy =
        dmarc.result === "fail" ? FAILED[dmarc.policy] : dmarc.result === "pass" ? "DMARC_POLICY_ALLOW" : "DMARC_NA";
      const want = [SPF[ours.spf], DKIM[ours.dkim], ARC[ours.arc], policy];
      const missing = want.filter((symbol) => symbol === undefined || !theirs.has(symbol));
      if (!sealed.has("ARC_ALLOW")) missing.push("ARC_ALLOW of our seal");
      if (missing.length > 0) wrong.push(`${JSON.stringify(one)}: ${missing} not in ${[...theirs]} / ${[...sealed]}`);
    }
    assert.deepEqual(wrong, []);
  });
});
