/** bounce/testdata/setup.ts: one message, what became of its recipients, and the reports about it. */
import assert from "node:assert/strict";
import PostalMime from "postal-mime";
import { systemClock } from "../../base/clock.ts";
import { parametersOf } from "../../config/parameters.ts";
import { asAddress } from "../../mail/address.ts";
import type { MessageContent, RcptOutcome } from "../../mail/delivery.ts";
import type { MessageDsn, RecipientDsn } from "../../mail/dsn.ts";
import type { Envelope } from "../../mail/envelope.ts";
import type { QueueId } from "../../mail/queue-id.ts";
import { type ComposedReports, createBounceComposer } from "../compose.ts";
import type { ReportKind } from "../delivery-status.ts";
import { loadTemplates } from "../load.ts";

const NOW = Date.UTC(2026, 2, 4, 5, 6, 7);
export const ORIGINAL = "From: <a@b.test>\r\nSubject: Hello\r\nX-Long: 1\r\n\r\nBody line\r\n--fake\r\n";

export interface Failed {
  readonly address: string;
  readonly original?: string;
  readonly dsn?: RecipientDsn;
  readonly outcome?: Partial<RcptOutcome>;
}

export interface Setup {
  readonly kind?: ReportKind;
  readonly sender?: string;
  readonly smtputf8?: boolean;
  readonly dsn?: MessageDsn;
  readonly wishes?: Partial<Pick<Envelope, "futureRelease" | "deliverBy" | "priority" | "requireTls" | "tlsOptional" | "body">>;
  readonly content?: Buffer;
  readonly chunkBytes?: number;
  readonly recipients?: readonly Failed[];
  readonly settings?: Record<string, string>;
  readonly templateFile?: string | Buffer;
}

function contentOf(bytes: Buffer, chunkBytes = 7): MessageContent {
  return {
    sizeBytes: bytes.length,
    *chunks() {
      for (let i = 0; i < bytes.length; i += chunkBytes) yield bytes.subarray(i, i + chunkBytes);
    },
  };
}

const PLAIN = { dsn: "5.1.1", text: "no such user", relay: "none", connectMs: 0, transmitMs: 0 } as const;

/** All reports about the setup's recipients; ids count from NEW1. */
export function composed(setup: Setup): Promise<ComposedReports> {
  const params = parametersOf(setup.settings ?? {});
  const { templateFile } = setup;
  const { templates } = loadTemplates(params, templateFile === undefined ? undefined : Buffer.from(templateFile));
  const composer = createBounceComposer({
    params,
    clock: { ...systemClock, now: () => NOW },
    templates,
    rewrite: (address) => (address.includes("@") ? address : asAddress(`${address}@mail.example.org`)),
  });
  let ids = 0;
  return composer.compose({
    kind: setup.kind ?? "failed",
    message: {
      envelope: {
        queueId: "ORIG1" as QueueId,
        sender: asAddress(setup.sender ?? "a@b.test"),
        arrivalMs: NOW - 60_000,
        smtputf8: setup.smtputf8 ?? false,
        body: "7BIT",
        origin: { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" },
        ...(setup.dsn && { dsn: setup.dsn }),
        ...setup.wishes,
      },
      content: contentOf(setup.content ?? Buffer.from(ORIGINAL), setup.chunkBytes),
    },
    recipients: (setup.recipients ?? [{ address: "x@far.test" }]).map((one, i) => ({
      recipient: {
        address: asAddress(one.address),
        original: asAddress(one.original ?? one.address),
        ...(one.dsn && { dsn: one.dsn }),
      },
      outcome: { recipientId: i + 1, kind: "bounced", ...PLAIN, ...one.outcome },
    })),
    nextQueueId: () => `NEW${++ids}` as QueueId,
  });
}

/** The one report, as bytes and as a MIME parser sees it. */
export async function readBack(setup: Setup) {
  const { reports } = await composed(setup);
  const [report] = reports;
  assert.ok(report && reports.length === 1, `${reports.length} reports`);
  const bytes = Buffer.from(report.message.content);
  const mail = await PostalMime.parse(bytes, { attachmentEncoding: "utf8", forceRfc822Attachments: true });
  const part = (type: string) => String(mail.attachments.find((one) => one.mimeType === type)?.content);
  return { report, composed: report.message, bytes, text: bytes.toString("utf8"), mail, part };
}
