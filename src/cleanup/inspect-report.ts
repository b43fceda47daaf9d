/** cleanup/inspect-report.ts: a delivery report before header_checks, body_checks and Milters, where internal_mail_filter_classes has
 *  "bounce". Reports are short (bounce_size_limit), so all of it is in memory; they are committed with what they report, elsewhere. */
import type { Address } from "../mail/address.ts";
import type { ComposedMessage } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { type Reply, replyText } from "../mail/reply.ts";
import type { BodyWriter, StoredBody } from "../queue/store.ts";
import { BodyReading } from "./body-reading.ts";
import type { MessageOptions } from "./cleanup.ts";
import { ContentInspection } from "./content-inspection.ts";
import { ContentVerdict } from "./content-verdict.ts";
import type { CleanupDeps } from "./deps.ts";
import { type HeaderField, HeaderIntake, parseFields } from "./header-block.ts";
import { milterPass } from "./milter-pass.ts";

export type ReportInspectionDeps = Pick<
  CleanupDeps,
  "params" | "log" | "mapping" | "checks" | "milterChecks" | "otherMilters"
>;

/** A report is refused: it cannot be sent, and what it is about stays as it is. */
export class ReportRefused extends Error {
  override readonly name = "ReportRefused";
}

interface Content {
  readonly fields: readonly HeaderField[];
  readonly body: Buffer;
}

/** What shall be done to it beside. */
interface Effects {
  readonly filter: string | undefined;
  readonly redirect: Address | undefined;
  readonly hold: boolean;
}

/** undefined: it is to be discarded. Rejects ReportRefused, also for what cannot be decided now, and MappingError. */
export async function inspectReport(
  message: ComposedMessage,
  deps: ReportInspectionDeps,
): Promise<ComposedMessage | undefined> {
  const options = optionsOf(message);
  const { envelope } = options;
  const recipient = message.recipients.at(-1);
  const verdict = deps.checks && new ContentVerdict({ envelope, recipient, log: deps.log });
  const given = split(message.content);
  const checked =
    deps.checks && verdict ? await checkedContent(given, new ContentInspection(deps.checks, verdict)) : given;
  throwIf(verdict?.refusal);
  if (verdict?.discard) return discarded(deps, envelope);
  const stored: StoredBody = { kind: "inline", bytes: checked.body };
  const body = { writer: new MemoryBody(), stored, reading: new BodyReading(undefined, false) };
  const mapped = { sender: envelope.sender, recipients: options.recipients };
  const pass = milterPass(options, { ...deps, ...NO_QUEUE });
  const input = { fields: checked.fields, prepended: 0, mapped, body, readAnew: () => body.reading };
  const out = pass ? await pass(input) : undefined;
  throwIf(out?.refusal);
  if (out?.discard) return discarded(deps, envelope);
  const after = out?.mapped ?? mapped;
  const effects = {
    filter: out?.filter ?? verdict?.filter,
    redirect: out?.redirect ?? verdict?.redirect,
    hold: out?.hold === true || verdict?.hold === true,
  };
  const bytes = body.stored.kind === "inline" ? body.stored.bytes : checked.body;
  const recipients = after.recipients.map(({ address }) => address);
  const content = joined({ fields: out?.fields ?? checked.fields, body: Buffer.from(bytes) });
  return withEffects({ envelope: { ...message.envelope, sender: after.sender }, recipients, content }, effects);
}

function withEffects(message: ComposedMessage, { filter, redirect, hold }: Effects): ComposedMessage {
  const { envelope, recipients } = message;
  return {
    ...message,
    envelope: filter === undefined || redirect !== undefined ? envelope : { ...envelope, filter },
    recipients: redirect === undefined ? recipients : [redirect],
    ...(hold && { hold }),
  };
}

function discarded({ log }: ReportInspectionDeps, { queueId }: Envelope): undefined {
  log.info(`${queueId}: removed (discarded)`, { event: "removed" });
  return undefined;
}

function throwIf(refusal: Reply | undefined): void {
  if (refusal) throw new ReportRefused(`refused by a check of its content: ${replyText(refusal)}`);
}

/** As post_mail(3) has it: the origin is "local". */
function optionsOf({ envelope, recipients }: ComposedMessage): MessageOptions {
  return {
    envelope: { ...envelope, origin: { ...envelope.origin, uid: envelope.origin.uid ?? 0 } },
    recipients: recipients.map((address) => ({ address, original: address })),
    ...{ tls: undefined, prepend: [], role: "mx" },
  };
}

async function checkedContent({ fields, body }: Content, inspection: ContentInspection): Promise<Content> {
  const kept = await inspection.header({ fields, blank: true, seen: () => undefined });
  return { fields: kept, body: Buffer.concat([await inspection.body(body), await inspection.end()]) };
}

function split(content: Uint8Array): Content {
  const intake = new HeaderIntake();
  const got = intake.push(Buffer.from(content));
  const [header, body] = got.kind === "end" ? [got.header, got.rest] : [intake.end(), Buffer.alloc(0)];
  return { fields: parseFields(header, Number.POSITIVE_INFINITY), body };
}

function joined({ fields, body }: Content): Buffer {
  const header = `${fields.map(({ text }) => `${text}\r\n`).join("")}\r\n`;
  return Buffer.concat([Buffer.from(header, "latin1"), body]);
}

/** A body that a Milter writes. */
class MemoryBody implements BodyWriter {
  readonly #parts: Uint8Array[] = [];
  sizeBytes = 0;

  write(chunk: Uint8Array): void {
    this.#parts.push(chunk);
    this.sizeBytes += chunk.length;
  }

  finish(): StoredBody {
    return { kind: "inline", bytes: Buffer.concat(this.#parts) };
  }

  async abort(): Promise<void> {
    this.#parts.length = 0;
  }
}

/** A report is not queued from here. */
const NO_QUEUE: Omit<CleanupDeps, keyof ReportInspectionDeps> = {
  store: {
    beginBody: () => new MemoryBody(),
    readBody: (body) => (body.kind === "inline" ? [body.bytes] : []),
    append: async () => undefined,
  },
  ...{ laneOf: () => "", arrived: () => undefined, poke: () => undefined, dueAt: () => undefined },
};
