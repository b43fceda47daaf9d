/** smtp/tls-report.ts: the TLSRPT record of a domain, and the report that it asks for: JSON, and as a mail (RFC 8460). Pure. */
import { formatMailDate } from "../mail/date.ts";
import type { PolicyCount } from "./tls-tally.ts";

/** Where a domain wants its reports; more are passed over. */
const MAX_TARGETS = 5;

/** `mailto:` and `https:` targets by the TXT records of `_smtp._tls.`; none: no reports are wanted (§3). */
export function reportTargets(records: readonly string[]): readonly string[] {
  const own = records.filter((text) => /^v=TLSRPTv1\s*;/.test(text));
  const [text] = own;
  if (text === undefined || own.length > 1) return [];
  const rua = text
    .split(";")
    .map((field) => field.trim())
    .find((field) => field.startsWith("rua="));
  const targets = (rua?.slice(4) ?? "").split(",").map((target) => target.trim());
  return targets.filter((target) => /^(?:mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/i.test(target)).slice(0, MAX_TARGETS);
}

export interface ReportHead {
  readonly organization: string;
  /** An address to write to about the report. */
  readonly contact: string;
  /** "2026-11-24", UTC. */
  readonly day: string;
  readonly domain: string;
  /** Unique; letters, digits, dots. */
  readonly id: string;
}

/** The report on one domain, §4.4. */
export function formatReport({ organization, contact, day, id }: ReportHead, policies: readonly PolicyCount[]): string {
  return JSON.stringify({
    "organization-name": organization,
    "date-range": { "start-datetime": `${day}T00:00:00Z`, "end-datetime": `${day}T23:59:59Z` },
    "contact-info": contact,
    "report-id": id,
    policies: policies.map(formatPolicy),
  });
}

function formatPolicy({ policy, successes, failures }: PolicyCount) {
  const all = [...failures.values()];
  return {
    policy: {
      "policy-type": policy.type,
      ...(policy.strings.length > 0 && { "policy-string": policy.strings }),
      "policy-domain": policy.domain,
      ...(policy.mxHosts.length > 0 && { "mx-host": policy.mxHosts }),
    },
    summary: {
      "total-successful-session-count": successes,
      "total-failure-session-count": all.reduce((sum, { count }) => sum + count, 0),
    },
    ...(all.length > 0 && {
      "failure-details": all.map(({ failure, count }) => ({
        "result-type": failure.type,
        ...(failure.ownAddress !== "" && { "sending-mta-ip": failure.ownAddress }),
        "receiving-mx-hostname": failure.host,
        ...(failure.address !== "" && { "receiving-ip": failure.address }),
        "failed-session-count": count,
        ...(failure.reason !== "" && { "failure-reason-code": failure.reason }),
      })),
    }),
  };
}

/** `sender!domain!begin!end!id.json.gz`, §5.1. */
function reportName({ organization, domain, day, id }: ReportHead): string {
  const begin = Date.parse(`${day}T00:00:00Z`) / 1000;
  return `${organization}!${domain}!${begin}!${begin + 86_399}!${id}.json.gz`;
}

/** The mail of §5.3, lines ending in LF. It is about TLS that fails, so it must not need it (RFC 8689 §3). `compressed`: the report after gzip. */
export function formatReportMail(
  head: ReportHead,
  mail: { readonly from: string; readonly to: string; readonly compressed: Uint8Array; readonly nowMs: number },
): string {
  const { organization, domain, day, id, contact } = head;
  const boundary = `tlsrpt-${id.replace(/[^A-Za-z0-9]/g, "-")}`;
  const encoded = Buffer.from(mail.compressed).toString("base64").replace(/.{76}/g, "$&\n").trimEnd();
  return `From: ${mail.from}
To: ${mail.to}
Date: ${formatMailDate(mail.nowMs)}
Subject: Report Domain: ${domain}
 Submitter: ${organization}
 Report-ID: <${id}@${organization}>
Message-ID: <${id}@${organization}>
TLS-Report-Domain: ${domain}
TLS-Report-Submitter: ${organization}
Auto-Submitted: auto-generated
TLS-Required: No
MIME-Version: 1.0
Content-Type: multipart/report; report-type="tlsrpt";
 boundary="${boundary}"

--${boundary}
Content-Type: text/plain; charset=us-ascii

This is an aggregate TLS report of ${organization}
on its mail to ${domain} on ${day} (UTC).
Contact: ${contact}

--${boundary}
Content-Type: application/tlsrpt+gzip
Content-Transfer-Encoding: base64
Content-Disposition: attachment;
 filename="${reportName(head)}"

${encoded}
--${boundary}--
`;
}
