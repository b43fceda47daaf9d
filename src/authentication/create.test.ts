/** authentication/create.test.ts: what SPF, DKIM and DMARC say of a message, by zones in a table; which fields are taken out; and that what a
 *  stranger chooses costs a bounded number of questions. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import type { CameField, SenderFacts } from "../mail/message-authentication.ts";
import { createAuthenticator } from "./create.ts";
import { Questions, SPENT } from "./questions.ts";
import { fieldsOf, KEY_FILES, keyRecord, signed, type Zone, zoneDns } from "./testdata/zone.ts";

const NOW = Date.UTC(2026, 10, 24);

const ZONE: Zone = {
  "TXT good.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT _dmarc.good.test": ["v=DMARC1; p=reject"],
  "TXT s._domainkey.good.test": [keyRecord("rsa")],
  "TXT e._domainkey.good.test": [keyRecord("ed25519")],
  "TXT sub.good.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT soft.test": ["v=spf1 ~all"],
  "TXT neutral.test": ["v=spf1 ?all"],
  "TXT two.test": ["v=spf1 -all", "v=spf1 +all"],
  "TXT twelve.test": [
    `v=spf1 ${"abcdefghijkl"
      .split("")
      .map((c) => `include:${c}.inc.test`)
      .join(" ")} -all`,
  ],
  ...Object.fromEntries("abcdefghijkl".split("").map((c) => [`TXT ${c}.inc.test`, ["v=spf1 ip4:198.51.100.1 -all"]])),
  "TXT three.test": ["v=spf1 include:a.inc.test include:b.inc.test -all"],
  "TXT _dmarc.bank.co.test": ["v=DMARC1; p=reject"],
  "TXT void.test": ["v=spf1 a:no1.test a:no2.test a:no3.test -all"],
  "TXT mx.test": ["v=spf1 mx -all"],
  "MX mx.test": ["10 a.mx.test"],
  "A a.mx.test": ["192.0.2.7"],
  "TXT lost.test": ["v=spf1 include:broken.test -all"],
  "TXT mail.good.test": ["v=spf1 ip4:192.0.2.7 -all"],
  "TXT liar.test": ["v=spf1 -all"],
  "TXT strict.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT _dmarc.strict.test": ["v=DMARC1; p=quarantine; aspf=s; adkim=s"],
  "TXT mail.strict.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT _dmarc.bank.psd.test": ["v=DMARC1; p=none; psd=n"],
  "TXT _dmarc.psd.test": ["v=DMARC1; p=none; sp=quarantine; np=reject; psd=y"],
  "A shop.psd.test": ["192.0.2.1"],
  "TXT _dmarc.testing.test": ["v=DMARC1; p=reject; t=y"],
  "TXT _dmarc.sub.test": ["v=DMARC1; p=none; sp=reject"],
  "TXT _dmarc.pct.test": ["v=DMARC1; p=reject; pct=0; fo=x; nonsense=1"],
  "A a.sub.test": ["192.0.2.1"],
  "TXT _dmarc.half.test": ["v=DMARC1; p=reject"],
  "TXT lost.half.test": ["v=spf1 include:broken.test -all"],
};

interface Case {
  readonly name: string;
  readonly ip?: string;
  readonly helo?: string;
  readonly sender?: string;
  readonly header?: string;
  readonly body?: string;
  /** Signs before the body is changed. */
  readonly sign?: { domain: string; selector: string; algorithm?: "rsa" | "ed25519" };
  readonly arrives?: string;
  readonly want: readonly RegExp[];
}

const FROM = (address: string) => `From: A <${address}>\r\nSubject: s`;

const CASES: readonly Case[] = [
  {
    name: "SPF-01: MAIL FROM and HELO pass, DMARC-01: aligned SPF passes without a signature",
    want: [
      /spf=pass \([^)]*\) smtp\.helo=mail\.good\.test/,
      /spf=pass .*smtp\.mailfrom=good\.test/,
      /dkim=none/,
      /dmarc=pass/,
    ],
  },
  {
    name: "SPF-01: an address that is not named fails, DMARC-02: and with it DMARC under p=reject",
    ip: "198.51.100.9",
    want: [/spf=fail .*smtp\.mailfrom=good\.test/, /dmarc=fail .*policy\.dmarc=reject/],
  },
  { name: "SPF-01: ~all", sender: "a@soft.test", want: [/spf=softfail/] },
  { name: "SPF-01: ?all", sender: "a@neutral.test", want: [/spf=neutral .*mailfrom/] },
  { name: "SPF-01: no record", sender: "a@none.test", want: [/spf=none .*mailfrom/] },
  { name: "SPF-01: two records are a permerror", sender: "a@two.test", want: [/spf=permerror .*mailfrom/] },
  { name: "SPF-01: more than 10 lookup terms are a permerror", sender: "a@twelve.test", want: [/spf=permerror/] },
  { name: "SPF-01: more than 2 void lookups are a permerror", sender: "a@void.test", want: [/spf=permerror/] },
  { name: "SPF-01: mx finds the host", sender: "a@mx.test", want: [/spf=pass .*mailfrom=mx\.test/] },
  { name: "SPF-01: DNS that fails is a temperror", sender: "a@lost.test", want: [/spf=temperror .*mailfrom/] },
  {
    name: "SPF-01: HELO that fails is told beside a MAIL FROM that passes",
    helo: "liar.test",
    want: [/spf=fail .*smtp\.helo=liar\.test/, /spf=pass .*mailfrom/],
  },
  {
    name: "SPF-01: the null sender is judged by HELO, which DMARC takes",
    sender: "",
    want: [/spf=pass .*smtp\.helo/, /dmarc=pass/],
  },
  { name: "SPF-01: a literal is no HELO identity", helo: "[192.0.2.7]", want: [/;\r\n\tspf=pass .*mailfrom/] },
  {
    name: "DKIM-01: an RSA signature passes, and DMARC by it where SPF fails",
    ip: "198.51.100.9",
    sign: { domain: "good.test", selector: "s" },
    want: [/dkim=pass header\.d=good\.test header\.i=@good\.test header\.s=s header\.a=rsa-sha256/, /dmarc=pass/],
  },
  {
    name: "DKIM-02: an Ed25519 signature passes",
    sign: { domain: "good.test", selector: "e", algorithm: "ed25519" },
    want: [/dkim=pass .*header\.a=ed25519-sha256/],
  },
  {
    name: "DKIM-01: a changed body fails, and DMARC with it",
    ip: "198.51.100.9",
    sign: { domain: "good.test", selector: "s" },
    arrives: "changed\r\n",
    want: [/dkim=fail \(body hash did not verify\)/, /dmarc=fail/],
  },
  {
    name: "DKIM-01: a key that is not there does not pass",
    sign: { domain: "good.test", selector: "gone" },
    want: [/dkim=neutral \(no key\) header\.d=good\.test/],
  },
  {
    name: "DKIM-01: DNS that fails is a temperror",
    sign: { domain: "broken.test", selector: "s" },
    want: [/dkim=temperror/],
  },
  {
    name: "DMARC-01: a signature of another domain does not align",
    ip: "198.51.100.9",
    header: FROM("a@psdless.test"),
    sign: { domain: "good.test", selector: "s" },
    want: [/dkim=pass/, /dmarc=none .*header\.from=psdless\.test/],
  },
  {
    name: "DMARC-01: aspf=s wants the same domain",
    sender: "a@mail.strict.test",
    header: FROM("a@strict.test"),
    want: [/dmarc=fail .*policy\.dmarc=quarantine/],
  },
  {
    name: "DMARC-01: relaxed alignment goes by the organizational domain of the tree walk",
    sender: "a@sub.good.test",
    want: [/dmarc=pass/],
  },
  {
    name: "DMARC-01: np of a public suffix is for names that do not exist",
    header: FROM("a@ghost.psd.test"),
    want: [/dmarc=fail .*policy\.dmarc=reject/],
  },
  {
    name: "DMARC-01: sp is for those that do",
    header: FROM("a@shop.psd.test"),
    want: [/dmarc=fail .*policy\.dmarc=quarantine/],
  },
  { name: "DMARC-01: psd=n ends the walk", header: FROM("a@bank.psd.test"), want: [/dmarc=fail .*policy\.dmarc=none/] },
  {
    name: "DMARC-01: t=y takes the policy one step down",
    header: FROM("a@testing.test"),
    want: [/dmarc=fail .*policy\.dmarc=quarantine/],
  },
  { name: "DMARC-01: sp of the parent", header: FROM("a@a.sub.test"), want: [/dmarc=fail .*policy\.dmarc=reject/] },
  {
    name: "DMARC-01: pct is gone and unknown tags do not matter",
    header: FROM("a@pct.test"),
    want: [/dmarc=fail .*policy\.dmarc=reject/],
  },
  { name: "DMARC-01: DNS that fails is a temperror", header: FROM("a@broken.test"), want: [/dmarc=temperror/] },
  {
    name: "DMARC-01: what DNS could not say of a signature of the author's domain is a temperror, not a failure",
    ip: "198.51.100.9",
    header: FROM("a@half.test"),
    sign: { domain: "broken.half.test", selector: "s" },
    want: [/dkim=temperror/, /dmarc=temperror .*header\.from=half\.test/],
  },
  {
    name: "DMARC-01: what it could not say of another domain's changes nothing",
    ip: "198.51.100.9",
    header: FROM("a@half.test"),
    sign: { domain: "broken.test", selector: "s" },
    want: [/dkim=temperror/, /dmarc=fail/],
  },
  {
    name: "DMARC-01: nor does SPF that could not be asked count as a failure",
    sender: "a@lost.half.test",
    header: FROM("a@half.test"),
    want: [/spf=temperror .*mailfrom/, /dmarc=temperror/],
  },
  {
    name: "DMARC-02: two From fields name no author",
    header: "From: a@good.test\r\nFrom: b@evil.test",
    want: [/dmarc=permerror \(multiple from fields\)/],
  },
  { name: "DMARC-02: no From", header: "Subject: s", want: [/dmarc=permerror \(no author domain\)/] },
  {
    name: "DMARC-02: authors in two domains",
    header: "From: a@good.test, b@evil.test",
    want: [/dmarc=permerror \(multiple author domains\)/],
  },
];

function open(overrides: Readonly<Record<string, string>> = {}, asked: string[] = []) {
  const params = parametersOf({ myhostname: "mx.test", postern_authentication_results: "yes", ...overrides });
  const authenticator = createAuthenticator(params, {
    dns: zoneDns(ZONE, asked),
    clock: { now: () => NOW, monotonic: () => 0 },
    role: "mx",
    log: new Log({ sink: () => undefined, now: () => NOW, tag: "t", id: 1 }),
    files: KEY_FILES,
    asked: false,
  });
  assert.ok(authenticator);
  return authenticator;
}

const STRANGER: SenderFacts = {
  clientAddress: "192.0.2.7",
  helo: "mail.good.test",
  sender: "a@good.test",
  login: undefined,
  trusted: false,
};

async function verdictOf(
  fields: readonly CameField[],
  { body = "x\r\n", from = STRANGER, ...rest }: { body?: string; from?: SenderFacts; asked?: string[] } = {},
) {
  const message = open({}, rest.asked).begin(from);
  await message.header(fields);
  for (let i = 0; i < body.length; i += 7) message.update(Buffer.from(body.slice(i, i + 7), "latin1"));
  const verdict = await message.verdict();
  assert.ok(verdict);
  return verdict;
}

/** The field on one line of any length. */
const unfolded = (field: string) => field.replace(/\r\n\t /g, " ");

/** Whether the library has been loaded into this process. */
const isLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("/mailauth/"));

test("the library is loaded when the first message is verified, and not before", async () => {
  const authenticator = open();
  await authenticator.begin({ ...STRANGER, login: "a" }).header(fieldsOf(FROM("a@good.test")));
  assert.equal(isLoaded(), false);
  await authenticator.begin(STRANGER).spf();
  assert.equal(isLoaded(), true);
});

describe("Authentication-Results", () => {
  for (const {
    name,
    ip = "192.0.2.7",
    helo = "mail.good.test",
    sender = "a@good.test",
    header = FROM("a@good.test"),
    ...rest
  } of CASES) {
    const { body = "x\r\n", sign, arrives = body, want } = rest;
    test(name, async () => {
      const fields = sign ? await signed(header, body, { ...sign, nowMs: NOW }) : fieldsOf(header);
      const { field } = await verdictOf(fields, {
        body: arrives,
        from: { ...STRANGER, clientAddress: ip, helo, sender },
      });
      assert.match(field, /^Authentication-Results: mx\.test;\r\n\t/);
      for (const pattern of want) assert.match(unfolded(field), pattern);
    });
  }
});

const AR = "Authentication-Results";

describe("AR-01: fields that claim to be ours", () => {
  const forged = fieldsOf(`${AR}: mx.test; dkim=pass\r\n${AR}: other.test; dkim=pass\r\nFrom: a@good.test`);
  const rows = [
    { why: "are taken from strangers", from: STRANGER, want: 2 },
    { why: "are taken from those who logged in", from: { ...STRANGER, login: "alice" }, want: 2 },
    { why: "stay where a trusted peer sends them", from: { ...STRANGER, trusted: true }, want: 3 },
    {
      why: "stay where nobody wants results",
      from: STRANGER,
      want: 3,
      overrides: { postern_authentication_results: "no", postern_authentication_results_login: "yes" },
    },
    {
      why: "are those under the name that the service gives itself",
      from: STRANGER,
      want: 2,
      overrides: { postern_authentication_service_id: "OTHER.test" },
    },
  ];
  for (const { why, from, want, overrides } of rows) {
    test(`AR-01: they ${why}`, async () => {
      const kept = await open(overrides).begin(from).header(forged);
      assert.equal(kept.length, want);
      assert.equal(kept.at(-1)?.text, "From: a@good.test");
    });
  }
});

describe("whose mail is judged", () => {
  test("AR-02: a login is told only where a switch says so, and is judged in no other way", async () => {
    const asked: string[] = [];
    const login = { ...STRANGER, login: "alice@good.test" };
    assert.equal(await open({}, asked).begin(login).resultsField(), undefined);
    const shown = await open({ postern_authentication_results_login: "yes" }, asked).begin(login).resultsField();
    assert.equal(shown, "Authentication-Results: mx.test;\r\n\tauth=pass smtp.auth=alice@good.test");
    assert.deepEqual(asked, []);
  });

  test("AR-02: a login that is no address is quoted", async () => {
    const odd = { ...STRANGER, login: 'a "b"' };
    const shown = await open({ postern_authentication_results_login: "yes" }).begin(odd).resultsField();
    assert.equal(shown, 'Authentication-Results: mx.test;\r\n\tauth=pass smtp.auth="a \\"b\\""');
  });

  test("a trusted client is not asked about", async () => {
    const asked: string[] = [];
    const message = open({}, asked).begin({ ...STRANGER, trusted: true });
    await message.header(fieldsOf(FROM("a@good.test")));
    assert.deepEqual(
      [message.judged, await message.verdict(), await message.resultsField(), asked],
      [false, undefined, undefined, []],
    );
  });
});

describe("what a stranger can make it cost", () => {
  const signature = (i: number, names = "from") =>
    `DKIM-Signature: v=1; a=rsa-sha256; d=good.test; s=n${i}; h=${names};\r\n\tbh=YWxsIHplcm9zIGFyZSBub3QgYSBoYXNo; b=YWJj`;

  test("DKIM-01: signatures above the limit are passed over", async () => {
    const many = Array.from({ length: 3000 }, (_, i) => signature(i)).join("\r\n");
    const asked: string[] = [];
    const { field } = await verdictOf(fieldsOf(`${many}\r\nFrom: a@good.test`), { asked });
    assert.equal(field.match(/dkim=/g)?.length, 10);
    assert.ok(asked.length < 40, asked.join("\n"));
  });

  test("DKIM-01: a signature that names thousands of fields is refused unread", async () => {
    const names = Array.from({ length: 3000 }, () => "from").join(":");
    const { field } = await verdictOf(fieldsOf(`${signature(1, names)}\r\nFrom: a@good.test`));
    assert.match(unfolded(field), /dkim=neutral \(too many signed fields\)/);
  });

  test("DKIM-01: of a message with thousands of fields no signature is verified", async () => {
    const fields = await signed(FROM("a@good.test"), "x\r\n", { domain: "good.test", selector: "s", nowMs: NOW });
    const { field } = await verdictOf([...fields, ...Array.from({ length: 5000 }, () => ({ name: "x", text: "X:" }))]);
    assert.match(unfolded(field), /dkim=neutral \(too many header fields\)/);
    const fewer = await verdictOf([...fields, ...Array.from({ length: 4000 }, () => ({ name: "x", text: "X:" }))]);
    assert.match(fewer.field, /dkim=pass/);
  });

  test("DMARC-02: of many From fields not all are read", async () => {
    const { dmarc } = await verdictOf(fieldsOf("From: a@good.test\r\n".repeat(9).trimEnd()));
    assert.equal(dmarc.noAuthor, "multiple from fields");
  });

  test("DMARC-02: a From that is too long to be read names no author", async () => {
    const { dmarc } = await verdictOf(fieldsOf(`From: a@good.test,${" (x)".repeat(10_000)}`));
    assert.equal(dmarc.noAuthor, "no author domain");
  });

  test("what the name service throws because nobody may ask it comes out, for explain", async () => {
    const silent = { ...zoneDns(ZONE), txt: () => Promise.reject(new Error("not to be asked")) };
    const params = parametersOf({ myhostname: "mx.test", postern_authentication_results: "yes" });
    const authenticator = createAuthenticator(params, {
      ...{ dns: silent, clock: { now: () => NOW, monotonic: () => 0 }, role: "mx", asked: false, files: KEY_FILES },
      log: new Log({ sink: () => undefined, now: () => NOW, tag: "t", id: 1 }),
    });
    await assert.rejects(async () => authenticator?.begin(STRANGER).spf(), /not to be asked/);
  });

  test("what asks more questions than any message needs is not answered", async () => {
    const { resolve } = new Questions({ dns: zoneDns(ZONE), clock: { monotonic: () => 0 }, timeoutMs: 1 });
    for (let i = 0; i < 150; i++) await resolve("good.test", "TXT");
    await assert.rejects(resolve("good.test", "TXT"), { code: SPENT });
  });

  test("SPF of a domain with hundreds of mail exchangers asks for ten", async () => {
    const asked: string[] = [];
    const hosts = Array.from({ length: 400 }, (_, i) => `10 h${i}.flood.test`);
    const zone = { "TXT flood.test": ["v=spf1 mx a ptr -all"], "MX flood.test": hosts };
    const params = parametersOf({ myhostname: "mx.test", postern_authentication_results: "yes" });
    const authenticator = createAuthenticator(params, {
      ...{ dns: zoneDns(zone, asked), clock: { now: () => NOW, monotonic: () => 0 }, role: "mx", asked: false },
      log: new Log({ sink: () => undefined, now: () => NOW, tag: "t", id: 1 }),
      files: KEY_FILES,
    });
    await authenticator?.begin({ ...STRANGER, helo: "flood.test", sender: "a@flood.test" }).spf();
    assert.ok(asked.length < 60, String(asked.length));
  });

  test("when the time is over what is not known yet is a temperror", async () => {
    let now = 0;
    const params = parametersOf({ myhostname: "mx.test", postern_authentication_results: "yes" });
    const authenticator = createAuthenticator(params, {
      ...{ clock: { now: () => NOW, monotonic: () => now }, role: "mx", asked: false },
      dns: {
        ...zoneDns(ZONE),
        txt: async (name) => {
          now += 19_999;
          return (await zoneDns(ZONE).txt?.(name)) ?? { kind: "temporary", text: "" };
        },
      },
      log: new Log({ sink: () => undefined, now: () => NOW, tag: "t", id: 1 }),
      files: KEY_FILES,
    });
    const checks = await authenticator?.begin({ ...STRANGER, helo: undefined, sender: "a@twelve.test" }).spf();
    assert.deepEqual(
      checks?.map(({ result }) => result),
      ["temperror"],
    );
  });

  test("no header makes it fail or pass DMARC for a domain that did not sign", async () => {
    const piece = fc.constantFrom(
      ...[
        "From",
        "DKIM-Signature",
        "ARC-Seal",
        "ARC-Message-Signature",
        "ARC-Authentication-Results",
        ": ",
        ":",
        "\r\n",
      ],
      ...[
        "\r\n ",
        ";",
        "=",
        "v=1",
        "i=1",
        "i=51",
        "cv=none",
        "a=rsa-sha256",
        "d=good.test",
        "s=s",
        "h=from",
        "b=",
        "bh=",
        "c=relaxed",
      ],
      ...[
        "a@good.test",
        "<",
        ">",
        "@",
        '"',
        "(",
        ")",
        ",",
        "l=0",
        "t=99999999999999999999",
        "x=-1",
        "\xff",
        "\x00",
        "=",
      ],
    );
    const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(""));
    const liar = { ...STRANGER, clientAddress: "198.51.100.9", helo: "x" };
    await fc.assert(
      fc.asyncProperty(text, async (header) => {
        const { dmarc, field } = await verdictOf(fieldsOf(`From: a@good.test\r\n${header}`), { from: liar });
        assert.notEqual(dmarc.result, "pass");
        assert.match(field, /^Authentication-Results: mx\.test;(?:\r\n\t[^\r\n]+)+$/);
      }),
      { numRuns: 300 },
    );
  });
});

describe("slow answers that a stranger chooses", () => {
  /** A clock that every question about slow.test moves on by almost all the time there is. */
  function openSlow() {
    let now = 0;
    const fast = zoneDns({ ...ZONE, "TXT slow.test": ["v=spf1 include:a.slow.test include:b.slow.test -all"] });
    const params = parametersOf({ myhostname: "mx.test", postern_authentication_results: "yes" });
    const authenticator = createAuthenticator(params, {
      ...{ clock: { now: () => NOW, monotonic: () => now }, role: "mx", asked: false, files: KEY_FILES },
      dns: {
        ...fast,
        txt: async (name) => {
          if (/(?:^|\.)slow\.(?:co\.)?test$/.test(name)) now += 15_000;
          return (await fast.txt?.(name)) ?? { kind: "temporary", text: "" };
        },
      },
      log: new Log({ sink: () => undefined, now: () => NOW, tag: "t", id: 1 }),
    });
    assert.ok(authenticator);
    return authenticator;
  }
  const bogus = (domain: string) => ({
    name: "dkim-signature",
    text: `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=${domain}; s=s; h=from; bh=${X_HASH}; b=YWJj`,
  });
  /** Of "x\r\n". */
  const X_HASH = createHash("sha256").update("x\r\n").digest("base64");
  const SLOW = Array.from({ length: 4 }, (_, i) => bogus(`${"abcd"[i]}.slow.test`));
  const STRANGE = { ...STRANGER, clientAddress: "198.51.100.9", helo: "slow.test" };

  async function verdict(fields: readonly CameField[]) {
    const message = openSlow().begin(STRANGE);
    await message.header(fields);
    message.update(Buffer.from("x\r\n"));
    return message.verdict();
  }

  test("DMARC-02: leave time to find that the author's domain has not signed", async () => {
    const found = await verdict([...SLOW, bogus("good.test"), ...fieldsOf(FROM("a@good.test"))]);
    assert.equal(found?.dmarc.result, "fail");
    assert.equal(found?.dmarc.policy, "reject");
  });

  test("DMARC-01: leave time to find that it has", async () => {
    const own = await signed(FROM("a@good.test"), "x\r\n", { domain: "good.test", selector: "s", nowMs: NOW });
    const found = await verdict([...SLOW, ...own]);
    assert.equal(found?.dmarc.result, "pass");
  });

  test("DMARC-02: what nobody had time to ask about does not count in favour", async () => {
    const near = Array.from({ length: 4 }, (_, i) => bogus(`${"abcd"[i]}.slow.co.test`));
    const found = await verdict([...near, bogus("bank.co.test"), ...fieldsOf(FROM("a@bank.co.test"))]);
    assert.equal(found?.dmarc.result, "fail");
  });

  test("SPF-01: of HELO do not use up the time of MAIL FROM", async () => {
    const checks = await openSlow()
      .begin({ ...STRANGE, sender: "a@three.test" })
      .spf();
    assert.deepEqual(
      checks.map(({ identity, result }) => `${identity} ${result}`),
      ["helo permerror", "mailfrom fail"],
    );
  });
});
