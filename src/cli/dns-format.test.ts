/** cli/dns-format.test.ts: whatever DNS says, the report is printable, fits the terminal, and is made in bounded time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkDns } from "../admin/dns-check.ts";
import { DnsView } from "../admin/dns-view.ts";
import { SITE, ZONE } from "../admin/testdata/right-site.ts";
import { fakeZone, type Zone } from "../admin/testdata/zone.ts";
import { formatReport } from "./dns-format.ts";

async function report(zone: Zone) {
  const stub = fakeZone({ ...ZONE, ...zone }, { secure: true });
  const found = await checkDns(SITE, {
    view: new DnsView(stub),
    fetchPolicy: async () => ({ text: "version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 1\n" }),
    nowMs: 0,
  });
  return { text: formatReport(SITE, found, { colours: false }), asked: stub.asked };
}

/** Beginnings that the checks look for, so that what follows is read. */
const BEGIN: Readonly<Record<string, string>> = {
  "example.org TXT": "v=spf1 ",
  "mail.example.org TXT": "v=spf1 ",
  "_dmarc.example.org TXT": "v=DMARC1;",
  "_mta-sts.example.org TXT": "v=STSv1;",
  "_smtp._tls.example.org TXT": "v=TLSRPTv1;",
  "k1._domainkey.example.org TXT": "v=DKIM1;",
};

test("formatReport() of any records is printable, and lines fit but for those to copy", async () => {
  const records = fc.dictionary(
    fc.constantFrom(...Object.keys(ZONE)),
    fc.array(fc.string({ unit: "binary", maxLength: 120 }), { minLength: 1, maxLength: 3 }),
    { maxKeys: 8 },
  );
  await fc.assert(
    fc.asyncProperty(records, async (dictionary) => {
      const entries = Object.entries(dictionary).map(([key, texts]) => {
        return [key, texts.map((text) => `${BEGIN[key] ?? ""}${text}`)] as const;
      });
      const { text } = await report(Object.fromEntries(entries));
      assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
      const long = text.split("\n").filter((line) => line.length > 100 && !line.includes("publish: "));
      assert.deepEqual(long, []);
    }),
    { numRuns: 25 },
  );
});

test("a zone that is a trap costs a bounded number of questions", async () => {
  const many = (make: (i: number) => string) => Array.from({ length: 3000 }, (_one, i) => make(i));
  const { asked, text } = await report({
    "example.org MX": many((i) => `${i} mx${i}.test`),
    "mail.example.org A": many((i) => `5.6.${i >> 8}.${i & 255}`),
    "5.2.0.192.in-addr.arpa PTR": many((i) => `h${i}.test`),
    "0.0.6.5.in-addr.arpa PTR": many((i) => `h${i}.test`),
    "_dmarc.example.org TXT": [`v=DMARC1; p=none; rua=${many((i) => `mailto:a@d${i}.test`).join(",")}`],
    "_submissions._tcp.example.org SRV": many((i) => `0 1 465 s${i}.test`),
    "example.org TXT": [`v=spf1 ${many((i) => `a:a${i}.test`).join(" ")} -all`],
  });
  assert.ok(asked.length < 400, String(asked.length));
  assert.ok(text.split("\n").length < 400, text);
});
