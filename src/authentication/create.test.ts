/** authentication/create.test.ts: what SPF, DKIM and DMARC say of a message, by zones in a table; whose mail is judged, and which fields are
 *  taken out. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { FROM, NOW, open, STRANGER, unfolded, verdictOf } from "./testdata/message.ts";
import { fieldsOf, signed } from "./testdata/zone.ts";

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
      const kept = await open(overrides ? { overrides } : {})
        .begin(from)
        .header(forged);
      assert.equal(kept.length, want);
      assert.equal(kept.at(-1)?.text, "From: a@good.test");
    });
  }
});

describe("whose mail is judged", () => {
  test("AR-02: a login is told only where a switch says so, and is judged in no other way", async () => {
    const asked: string[] = [];
    const login = { ...STRANGER, login: "alice@good.test" };
    assert.equal(await open({ asked }).begin(login).resultsField(), undefined);
    const shown = await open({ overrides: { postern_authentication_results_login: "yes" }, asked })
      .begin(login)
      .resultsField();
    assert.equal(shown, "Authentication-Results: mx.test;\r\n\tauth=pass smtp.auth=alice@good.test");
    assert.deepEqual(asked, []);
  });

  test("a submission service verifies nobody, and lets nobody speak in our name", async () => {
    const asked: string[] = [];
    const message = open({ asked, role: "submission" }).begin(STRANGER);
    const kept = await message.header(fieldsOf("Authentication-Results: mx.test; dkim=pass\r\nFrom: a@good.test"));
    assert.deepEqual(
      [message.judged, kept.length, await message.resultsField(), await message.verdict(), asked],
      [false, 1, undefined, undefined, []],
    );
  });

  test("AR-02: a login that is no address is quoted", async () => {
    const odd = { ...STRANGER, login: 'a "b"' };
    const shown = await open({ overrides: { postern_authentication_results_login: "yes" } })
      .begin(odd)
      .resultsField();
    assert.equal(shown, 'Authentication-Results: mx.test;\r\n\tauth=pass smtp.auth="a \\"b\\""');
  });

  test("a trusted client is not asked about", async () => {
    const asked: string[] = [];
    const message = open({ asked }).begin({ ...STRANGER, trusted: true });
    await message.header(fieldsOf(FROM("a@good.test")));
    assert.deepEqual(
      [message.judged, await message.verdict(), await message.resultsField(), asked],
      [false, undefined, undefined, []],
    );
  });
});
