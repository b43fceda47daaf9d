/** bounce/compose.ts: makes the delivery reports and postmaster notices for what became of a message. Composes only:
 *  committing and logging are qmgr's. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, domainOf } from "../mail/address.ts";
import type { ComposedMessage } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ReportedRecipient, ReportKind } from "./delivery-status.ts";
import { type Postmasters, planNotices, type Remark } from "./notices.ts";
import { composeReport, type OriginalMessage, type Site } from "./report.ts";
import { expandTemplate, type TemplateName, type Templates } from "./template.ts";

export interface ReportInput {
  readonly kind: ReportKind;
  readonly message: OriginalMessage;
  /** At least one. For "success" only those whose sender wants to know. */
  readonly recipients: readonly ReportedRecipient[];
  readonly nextQueueId: () => QueueId;
}

export interface ComposedReports {
  readonly reports: readonly {
    readonly message: ComposedMessage;
    /** "sender non-delivery notification", for the log line. */
    readonly label: string;
  }[];
  /** Who is not told, and why; for the log. */
  readonly remarks: readonly Remark[];
}

export interface BounceComposer {
  /** All reports that are due, perhaps none. Rejects if the original cannot be read. */
  compose(input: ReportInput): Promise<ComposedReports>;
}

export interface ComposerOptions {
  readonly params: Parameters;
  readonly clock: Clock;
  readonly templates: Templates;
  /** Completes an address without domain. */
  readonly rewrite: (address: Address) => Address;
  /** Where a recipient of a report gets mail: aliases. undefined: as it is named. May reject: then nothing is made. */
  readonly expand?: ((recipient: Address) => Promise<readonly Address[]>) | undefined;
  /** What a report is after checks of its content (internal_mail_filter_classes), undefined where it is discarded. The option
   *  undefined: there are none. May reject: then nothing is made. */
  readonly inspect?: ((report: ComposedMessage) => Promise<ComposedMessage | undefined>) | undefined;
  /** The content with its signatures; undefined: none. Never rejects. */
  readonly sign?: ((content: Uint8Array) => Promise<Uint8Array>) | undefined;
}

const TEMPLATE = {
  failed: "failure",
  delayed: "delay",
  success: "success",
  verify: "verify",
} as const satisfies Record<ReportKind, TemplateName>;

export function createBounceComposer(options: ComposerOptions): BounceComposer {
  const { params, clock, templates } = options;
  const site = siteOf(options);
  const postmasters = postmastersOf(options);
  return {
    async compose({ kind, message, recipients, nextQueueId }) {
      const plan = planNotices(kind, { envelope: message.envelope, recipients }, postmasters);
      const template = templates[TEMPLATE[kind]];
      const text = expandTemplate(template, params);
      const nowMs = clock.now();
      const reports = [];
      for (const { label, ...notice } of plan.notices) {
        const order = { ...notice, kind, message, template, text, nowMs, queueId: nextQueueId() };
        const composed = await expanded(await composeReport(order, site), options);
        const made = options.inspect ? await options.inspect(composed) : composed;
        if (made === undefined) continue;
        const content = options.sign ? await options.sign(made.content) : made.content;
        reports.push({ label, message: { ...made, content } });
      }
      return { reports, remarks: plan.remarks };
    },
  };
}

async function expanded(message: ComposedMessage, { expand }: ComposerOptions): Promise<ComposedMessage> {
  if (expand === undefined) return message;
  const recipients = new Set<Address>();
  for (const recipient of message.recipients) for (const address of await expand(recipient)) recipients.add(address);
  return { ...message, recipients: [...recipients] };
}

function siteOf({ params, rewrite }: ComposerOptions): Site {
  const hostname = params.text("myhostname");
  return {
    hostname,
    mailName: params.text("mail_name"),
    origin: domainOf(rewrite(asAddress("postmaster"))) ?? hostname,
    limitBytes: params.get("bounce_size_limit"),
    threaded: params.get("enable_threaded_bounces"),
    lifetimeMs: params.get("maximal_queue_lifetime"),
  };
}

function postmastersOf({ params, rewrite }: ComposerOptions): Postmasters {
  const address = (name: "bounce_notice_recipient" | "2bounce_notice_recipient" | "delay_notice_recipient") =>
    rewrite(asAddress(params.get(name)));
  return {
    classes: new Set(params.get("notify_classes")),
    bounce: address("bounce_notice_recipient"),
    doubleBounce: address("2bounce_notice_recipient"),
    delay: address("delay_notice_recipient"),
    sender: asAddress(`${params.get("double_bounce_sender")}@${params.text("myhostname")}`),
  };
}
