import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isDmarc, parseDmarc } from "./dmarc-record.ts";

const KINDS = [
  { in: "v=DMARC1", want: true },
  { in: "v = DMARC1 ; p=none", want: true },
  { in: "v=DMARC1p=none", want: false },
  { in: "v=dmarc1; p=none", want: false },
  { in: "p=none; v=DMARC1", want: false },
];
for (const c of KINDS) test(`DMARC-01: isDmarc() "${c.in}"`, () => assert.equal(isDmarc(c.in), c.want));

const RECORDS = [
  { in: "v=DMARC1; p=reject; rua=mailto:a@a.test", why: "the common one" },
  { in: "v=DMARC1;P=Quarantine;sp=none;np=reject;adkim=s;aspf=r;fo=1:d:s;t=y;psd=n;", why: "all tags, in any case" },
  { in: "v=DMARC1; p=none; pct=50; rf=afrf; ri=3600", remark: /pct=.*rf=.*ri=/, why: "RFC 9989: tags of RFC 7489" },
  { in: "v=DMARC1; p=none; ruaa=mailto:a@a.test", remark: /ruaa= is no tag/, why: "a misspelt tag" },
  { in: "v=DMARC1; p=monitor", problem: /p=monitor has no meaning/, why: "no policy" },
  { in: "v=DMARC1; p=none; adkim=x", problem: /adkim=x/, why: "no mode" },
  { in: "v=DMARC1; p none", problem: /is no tag=value/, why: "no tag" },
  { in: "v=DMARC1; p=none; rua=", problem: /rua= has no meaning/, why: "nobody" },
  { in: "v=DMARC1; p=none; rua=mailto:a@localhost", problem: /no mailto: address/, why: "a host without domain" },
  { in: "v=DMARC1; p=none; rua=https://a.test/", problem: /no mailto: address/, why: "another scheme" },
];
for (const { in: text, problem, remark, why } of RECORDS) {
  test(`DMARC-01: parseDmarc() ${why}`, () => {
    const record = parseDmarc(text);
    if (problem === undefined) assert.deepEqual(record.problems, []);
    else assert.match(record.problems.join(), problem);
    if (remark === undefined) assert.deepEqual(record.remarks, []);
    else assert.match(record.remarks.join(), remark);
  });
}

test("DMARC-02: parseDmarc() finds the domains of all addresses, once", () => {
  const { reportDomains, reportsTo } = parseDmarc(
    "v=DMARC1; p=none; rua=mailto:a@A.test!10m , mailto:b@b.test; ruf=mailto:c@a.test",
  );
  assert.deepEqual(reportDomains, ["a.test", "b.test"]);
  assert.deepEqual(reportsTo, ["mailto:a@A.test!10m", "mailto:b@b.test"]);
});

test("parseDmarc() takes any text", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseDmarc(`v=DMARC1;${text}`)));
});
