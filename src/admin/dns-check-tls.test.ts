/** admin/dns-check-tls.test.ts: as dns-check.test.ts, for SRV, PACC, TLSA, MTA-STS, TLSRPT and CAA. */
import type { MailAccount } from "./account.ts";
import { paccDigest, paccDocument } from "./pacc.ts";
import { keyDigest, leaf, other, POLICY, type Row, SITE, testRows } from "./testdata/right-site.ts";

const ACCOUNT = SITE.account as MailAccount;
const IMAP = { protocol: "imap", host: "imap.example.org", port: 993, security: "tls", mechanisms: [] } as const;
const SRV: readonly Row[] = [
  {
    zone: { "_submissions._tcp.example.org SRV": ["0 1 25 old.test"] },
    want: "wrong SRV _submissions._tcp.example.org",
    says: /elsewhere/,
    publish: ["_submissions._tcp.example.org. IN SRV 0 1 465 mail.example.org."],
    why: "DISC-01: another server",
  },
  {
    zone: { "imap.example.org A": [], "_imaps._tcp.example.org SRV": ["0 1 993 imap.example.org"] },
    site: { account: { ...ACCOUNT, outgoing: [], incoming: [IMAP] } },
    want: "wrong SRV _imaps._tcp.example.org",
    says: /imap\.example\.org has no address/,
    why: "DISC-01: a host that is gone",
  },
  {
    zone: { "_submissions._tcp.example.org SRV": ["0 0 0 ."] },
    want: "wrong SRV _submissions._tcp.example.org",
    says: /elsewhere|missing/,
    why: "DISC-01: a service that is there is denied",
  },
  {
    zone: { "_submissions._tcp.example.org SRV": ["20 1 465 mail.example.org"] },
    want: "wrong SRV _submission._tcp.example.org",
    says: /should be preferred/,
    why: "DISC-01: STARTTLS goes first",
  },
  {
    zone: {
      "mail.example.org CNAME": ["real.test"],
      "example.org MX": ["10 mx.test"],
      "mx.test A": ["192.0.2.5"],
      "_submission._tcp.example.org SRV": [],
    },
    want: "wrong SRV _submissions._tcp.example.org",
    says: /alias/,
    why: "DISC-01: RFC 2782: an alias",
  },
  {
    zone: { "_submissions._tcp.example.org SRV": [] },
    want: "optional SRV _submissions._tcp.example.org",
    says: /mail programs find/,
    publish: ["_submissions._tcp.example.org. IN SRV 0 1 465 mail.example.org."],
    why: "DISC-01: none",
  },
  {
    zone: { "_submission._tcp.example.org SRV": "?" },
    want: "unknown SRV _submission._tcp.example.org",
    why: "no answer",
  },
  {
    zone: { "_ua-auto-config.example.org TXT": ["v=UAAC1; a=sha256; d=AAAA"] },
    want: "wrong PACC _ua-auto-config.example.org",
    says: /another document/,
    publish: [`_ua-auto-config.example.org. IN TXT "${paccDigest(String(paccDocument(ACCOUNT)))}"`],
    why: "DISC-06: the digest of an earlier document",
  },
];

const TLSA = "_25._tcp.mail.example.org";
const DANE: readonly Row[] = [
  {
    zone: { [`${TLSA} TLSA`]: [`3 1 1 ${keyDigest(other)}`] },
    want: `wrong TLSA ${TLSA}`,
    says: /not for the certificate/,
    publish: [`${TLSA}. IN TLSA 3 1 1 ${keyDigest(leaf)}`],
    why: "another key",
  },
  {
    zone: { [`${TLSA} TLSA`]: [`1 1 1 ${keyDigest(leaf)}`] },
    want: `wrong TLSA ${TLSA}`,
    why: "RFC 7672 §3.1.3: a usage that is not for mail",
  },
  { site: { certificates: [[leaf], [other]] }, want: `wrong TLSA ${TLSA}`, why: "one of two certificates" },
  { secure: false, want: `wrong TLSA ${TLSA}`, says: /not signed/, why: "unsigned" },
  {
    site: { certificates: undefined },
    want: `unknown TLSA ${TLSA}`,
    says: /cannot be read/,
    why: "no certificate to compare",
  },
  { site: { certificates: [] }, want: `wrong TLSA ${TLSA}`, says: /no TLS/, why: "a server without TLS" },
  { zone: { [`${TLSA} TLSA`]: "?" }, want: `unknown TLSA ${TLSA}`, why: "no answer" },
  {
    zone: { [`${TLSA} TLSA`]: [] },
    want: `optional TLSA ${TLSA}`,
    publish: [`${TLSA}. IN TLSA 3 1 1 ${keyDigest(leaf)}`],
    why: "none",
  },
  {
    zone: { [`${TLSA} TLSA`]: [] },
    secure: false,
    want: `optional TLSA ${TLSA}`,
    says: /not possible/,
    publish: [],
    why: "none, in an unsigned zone",
  },
];

const URL_NAME = "https://mta-sts.example.org/.well-known/mta-sts.txt";
const TLS_POLICY: readonly Row[] = [
  {
    zone: { "_mta-sts.example.org TXT": ["v=STSv1;"] },
    want: "wrong MTA-STS _mta-sts.example.org",
    says: /no id/,
    publish: ['_mta-sts.example.org. IN TXT "v=STSv1; id=20261124010203"'],
    why: "no id",
  },
  {
    zone: { "_mta-sts.example.org TXT": ["v=STSv1; id=1", "v=STSv1; id=2"] },
    want: "wrong MTA-STS _mta-sts.example.org",
    says: /several/,
    why: "two records",
  },
  {
    zone: { "mta-sts.example.org A": [] },
    want: "wrong MTA-STS mta-sts.example.org",
    says: /no address/,
    why: "no web server",
  },
  {
    policy: { problem: "the web server answers 404" },
    want: `wrong MTA-STS ${URL_NAME}`,
    says: /answers 404/,
    why: "no policy",
  },
  {
    policy: { text: "nonsense" },
    want: `wrong MTA-STS ${URL_NAME}`,
    says: /cannot be read: no version/,
    why: "a policy that is none",
  },
  {
    policy: { text: POLICY.replace("*.example.org", "mx.test") },
    want: `wrong MTA-STS ${URL_NAME}`,
    says: /does not allow mail\.example\.org/,
    why: "a policy that forbids this server",
  },
  { zone: { "_mta-sts.example.org TXT": [] }, want: "optional MTA-STS _mta-sts.example.org", why: "none" },
  {
    zone: { "_smtp._tls.example.org TXT": ["v=TLSRPTv1;"] },
    want: "wrong TLSRPT _smtp._tls.example.org",
    says: /no rua=/,
    why: "reports to nobody",
  },
  {
    zone: { "_smtp._tls.example.org TXT": ["v=TLSRPTv1; rua=tls@example.org"] },
    want: "wrong TLSRPT _smtp._tls.example.org",
    says: /neither mailto/,
    why: "an address without mailto:",
  },
  {
    zone: { "_smtp._tls.example.org TXT": [] },
    want: "optional TLSRPT _smtp._tls.example.org",
    publish: ['_smtp._tls.example.org. IN TXT "v=TLSRPTv1; rua=mailto:postmaster@example.org"'],
    why: "none",
  },
  {
    zone: { "example.org CAA": ["issue ;"] },
    want: "wrong CAA example.org",
    says: /no CA may issue/,
    why: "nobody may issue",
  },
  { zone: { "mail.example.org CAA": ["issue ;"] }, want: "wrong CAA mail.example.org", why: "the closest counts" },
];

testRows({ SRV, DANE, TLS_POLICY });
