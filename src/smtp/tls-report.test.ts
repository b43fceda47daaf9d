/** Tests of TLSRPT records and reports, RFC 8460 §3 to §5. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import PostalMime from "postal-mime";
import { formatReport, formatReportMail, reportTargets } from "./tls-report.ts";
import type { PolicyCount } from "./tls-tally.ts";

const RECORDS = [
  {
    in: ["v=TLSRPTv1; rua=mailto:reports@example.com"],
    want: ["mailto:reports@example.com"],
    why: "the RFC's example",
  },
  {
    in: ["v=TLSRPTv1;rua=https://a.test/v1 , mailto:b@c.test;"],
    want: ["https://a.test/v1", "mailto:b@c.test"],
    why: "two",
  },
  { in: ["x", "v=TLSRPTv1; rua=mailto:b@c.test"], want: ["mailto:b@c.test"], why: "beside another record" },
  { in: ["v=TLSRPTv1; rua=mailto:b@c.test", "v=TLSRPTv1; rua=mailto:d@c.test"], want: [], why: "two records are none" },
  { in: ["v=TLSRPTv1; rua=http://a.test/, ftp://b.test, mailto:x"], want: [], why: "what nobody can send to" },
  { in: ["v=TLSRPTv1"], want: [], why: "no target" },
  {
    in: [`v=TLSRPTv1; rua=${Array(9).fill("mailto:b@c.test").join(",")}`],
    want: Array(5).fill("mailto:b@c.test"),
    why: "at most five",
  },
  { in: ["v=TLSRPTv1; rua=mailto:a@b.test\r\nBcc: c@d.test"], want: [], why: "a second line" },
  { in: [], want: [], why: "nothing" },
];
for (const c of RECORDS) test(`reportTargets() RPT-01: ${c.why}`, () => assert.deepEqual(reportTargets(c.in), c.want));

const HEAD = {
  organization: "example.org",
  contact: "tls@example.org",
  day: "2026-11-24",
  domain: "a.test",
  id: "2026-11-24.1",
};
const FAILURE = {
  type: "certificate-expired",
  host: "mx.a.test",
  address: "192.0.2.1",
  ownAddress: "192.0.2.9",
  reason: "x",
} as const;
const COUNTS: readonly PolicyCount[] = [
  {
    policy: { type: "sts", domain: "a.test", strings: ["version: STSv1", "mode: testing"], mxHosts: ["*.a.test"] },
    successes: 3,
    failures: new Map([
      ["1", { failure: FAILURE, count: 2 }],
      ["2", { failure: { ...FAILURE, type: "sts-policy-invalid", address: "", ownAddress: "", reason: "" }, count: 1 }],
    ]),
  },
  {
    policy: { type: "no-policy-found", domain: "a.test", strings: [], mxHosts: [] },
    successes: 1,
    failures: new Map(),
  },
];

test("formatReport() gives the members of RFC 8460 §4.4 (RPT-02)", () => {
  assert.deepEqual(JSON.parse(formatReport(HEAD, COUNTS)), {
    "organization-name": "example.org",
    "date-range": { "start-datetime": "2026-11-24T00:00:00Z", "end-datetime": "2026-11-24T23:59:59Z" },
    "contact-info": "tls@example.org",
    "report-id": "2026-11-24.1",
    policies: [
      {
        policy: {
          "policy-type": "sts",
          "policy-string": ["version: STSv1", "mode: testing"],
          "policy-domain": "a.test",
          "mx-host": ["*.a.test"],
        },
        summary: { "total-successful-session-count": 3, "total-failure-session-count": 3 },
        "failure-details": [
          {
            "result-type": "certificate-expired",
            "sending-mta-ip": "192.0.2.9",
            "receiving-mx-hostname": "mx.a.test",
            "receiving-ip": "192.0.2.1",
            "failed-session-count": 2,
            "failure-reason-code": "x",
          },
          { "result-type": "sts-policy-invalid", "receiving-mx-hostname": "mx.a.test", "failed-session-count": 1 },
        ],
      },
      {
        policy: { "policy-type": "no-policy-found", "policy-domain": "a.test" },
        summary: { "total-successful-session-count": 1, "total-failure-session-count": 0 },
      },
    ],
  });
});

test("REQ-05: formatReportMail() asks for delivery without TLS, if need be", () => {
  const mail = formatReportMail(HEAD, { from: "a@x.test", to: "b@y.test", compressed: Buffer.from(""), nowMs: 0 });
  assert.match(mail.split("\n\n")[0] ?? "", /^TLS-Required: No$/m);
});

test("formatReportMail() is a multipart/report that a MIME parser takes apart (RPT-03)", async () => {
  const report = formatReport(HEAD, COUNTS);
  const mail = formatReportMail(HEAD, {
    from: "tls@example.org",
    to: "r@a.test",
    compressed: gzipSync(report),
    nowMs: 0,
  });
  assert.ok(mail.split("\n").every((line) => line.length <= 998));
  const parsed = await PostalMime.parse(mail);
  const field = (name: string) => parsed.headers.find(({ key }) => key === name)?.value;
  assert.equal(field("tls-report-domain"), "a.test");
  assert.equal(field("tls-report-submitter"), "example.org");
  assert.match(field("content-type") ?? "", /^multipart\/report; report-type="?tlsrpt/);
  assert.match(
    parsed.subject ?? "",
    /^Report Domain: a\.test Submitter: example\.org Report-ID: <2026-11-24\.1@example\.org>$/,
  );
  const [attachment] = parsed.attachments;
  assert.equal(attachment?.mimeType, "application/tlsrpt+gzip");
  assert.equal(attachment?.filename, "example.org!a.test!1795478400!1795564799!2026-11-24.1.json.gz");
  assert.equal(gunzipSync(attachment?.content as ArrayBuffer).toString(), report);
});
