/** bounce/notices.ts: who is told of what became of a message (RFC 3461 §5.2, Postfix's bounce(8)): the sender as NOTIFY
 *  says, the postmaster as notify_classes says. A report to a sender has the null sender, a notice to the postmaster the
 *  double-bounce address; what comes back to that is discarded, so no mail causes more than two others. Pure. */
import { type Address, formatAddress, NULL_ADDRESS } from "../mail/address.ts";
import { isWanted } from "../mail/dsn.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { ReportedRecipient, ReportKind } from "./delivery-status.ts";

/** One report to be made. */
export interface Notice {
  readonly from: Address;
  readonly to: Address;
  readonly postmaster: boolean;
  readonly recipients: readonly ReportedRecipient[];
  readonly returned: "message" | "headers";
  /** "sender non-delivery notification", for the log line. */
  readonly label: string;
}

/** Why nobody is told, for the log. */
export interface Remark {
  readonly severity: "info" | "warning";
  readonly text: string;
}

export interface NoticePlan {
  readonly notices: readonly Notice[];
  readonly remarks: readonly Remark[];
}

/** What the configuration says about postmasters. Addresses are complete. */
export interface Postmasters {
  readonly classes: ReadonlySet<string>;
  readonly bounce: Address;
  readonly doubleBounce: Address;
  readonly delay: Address;
  /** Sender of notices to them. */
  readonly sender: Address;
}

const CONDITION = { failed: "FAILURE", delayed: "DELAY" } as const;
const WORD = {
  failed: "non-delivery",
  delayed: "delay",
  success: "delivery status",
  verify: "delivery status",
} as const satisfies Record<ReportKind, string>;

/** Where the sender hears what he asked for, and the postmaster nothing. */
function isAskedFor(kind: ReportKind): kind is "success" | "verify" {
  return kind === "success" || kind === "verify";
}

/** `recipients`: all of one kind, at least one. For success: those that asked for it. For verify: all. */
export function planNotices(
  kind: ReportKind,
  mail: { readonly envelope: Envelope; readonly recipients: readonly ReportedRecipient[] },
  postmasters: Postmasters,
): NoticePlan {
  const { sender } = mail.envelope;
  if (sender.toLowerCase() === postmasters.sender.toLowerCase()) {
    const text = "undeliverable postmaster notification discarded";
    return { notices: [], remarks: kind === "failed" ? [{ severity: "warning", text }] : [] };
  }
  if (sender === NULL_ADDRESS) return doubleBounce(kind, mail, postmasters);
  const toSender = senderNotice(kind, mail);
  const copy = postmasterCopy(kind, mail.recipients, postmasters);
  const notices = [toSender, copy].filter((notice) => notice !== undefined);
  return { notices, remarks: kind === "failed" ? unwantedRemarks(mail.recipients) : [] };
}

/** To the sender, about the recipients that asked for it; undefined if none did. */
function senderNotice(
  kind: ReportKind,
  { envelope, recipients }: { readonly envelope: Envelope; readonly recipients: readonly ReportedRecipient[] },
): Notice | undefined {
  const wanted = isAskedFor(kind)
    ? recipients
    : recipients.filter(({ recipient }) => isWanted(recipient.dsn, CONDITION[kind]));
  if (wanted.length === 0) return undefined;
  return {
    from: NULL_ADDRESS,
    to: envelope.sender,
    postmaster: false,
    recipients: wanted,
    // RFC 3461 §6.2: the whole message for failures only.
    returned: kind === "failed" && envelope.dsn?.ret !== "HDRS" && mayReturn(envelope) ? "message" : "headers",
    label: `sender ${WORD[kind]} notification`,
  };
}

/** The way back may not be safe (RFC 8689 §5), and a report is made of lines. */
function mayReturn({ requireTls, body }: Envelope): boolean {
  return !requireTls && body !== "BINARYMIME";
}

/** Headers only: the content is none of the postmaster's business. Whatever NOTIFY says. */
function postmasterCopy(
  kind: ReportKind,
  recipients: readonly ReportedRecipient[],
  { classes, bounce, delay, sender }: Postmasters,
): Notice | undefined {
  if (isAskedFor(kind) || !classes.has(kind === "failed" ? "bounce" : "delay")) return undefined;
  const to = kind === "failed" ? bounce : delay;
  const label = `postmaster ${WORD[kind]} notification`;
  return { from: sender, to, postmaster: true, recipients, returned: "headers", label };
}

/** Mail with the null sender: nobody but the postmaster can be told, and nobody else has the message. */
function doubleBounce(
  kind: ReportKind,
  { envelope, recipients }: { readonly envelope: Envelope; readonly recipients: readonly ReportedRecipient[] },
  { classes, doubleBounce: twice, delay, sender }: Postmasters,
): NoticePlan {
  const told = kind === "delayed" ? classes.has("delay") : classes.has("2bounce") || classes.has("bounce");
  if (isAskedFor(kind) || !told) {
    const text = "undeliverable mail with null sender dropped, nobody to notify";
    return { notices: [], remarks: kind === "failed" ? [{ severity: "info", text }] : [] };
  }
  const to = kind === "failed" ? twice : delay;
  const label = `postmaster ${WORD[kind]} notification`;
  return {
    notices: [
      { from: sender, to, postmaster: true, recipients, returned: mayReturn(envelope) ? "message" : "headers", label },
    ],
    remarks: [],
  };
}

function unwantedRemarks(recipients: readonly ReportedRecipient[]): readonly Remark[] {
  const unwanted = recipients.filter(({ recipient }) => !isWanted(recipient.dsn, "FAILURE"));
  return unwanted.map(({ recipient }) => ({
    severity: "info",
    text: `undeliverable mail to <${printableUtf8(formatAddress(recipient.address))}> dropped, NOTIFY=${recipient.dsn?.notify?.join(",")}`,
  }));
}
