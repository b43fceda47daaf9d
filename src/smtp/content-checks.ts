/** smtp/content-checks.ts: smtp_header_checks and its like (header_checks(5)): a message is read while it leaves, and lines are
 *  changed or logged. Header fields are checked before smtp_generic_maps; what the rules leave in a field is mapped. */
import { type CheckAction, parseCheckAction } from "../cleanup/check-action.ts";
import { type ContentChecks, EmptyResult } from "../cleanup/content-checks.ts";
import { ContentInspection } from "../cleanup/content-inspection.ts";
import type { CheckedLine, Judge, LineEffect } from "../cleanup/content-judge.ts";
import { HeaderIntake, parseFields } from "../cleanup/header-block.ts";
import type { Log } from "../log/log.ts";
import type { MessageContent } from "../mail/delivery.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { AddressMap } from "../rewrite/address-map.ts";
import type { TableError } from "../tables/table.ts";
import { genericFields, headerOf } from "./generic.ts";

const CRLF = Buffer.from("\r\n");
/** Characters of a line that are logged. */
const SHOWN = 60;

/** A table did not answer in the middle of a message: it must not be completed. */
export class ContentCheckError extends Error {
  override readonly name = "ContentCheckError";
}

export interface OutgoingChecks {
  readonly checks: ContentChecks;
  /** smtp_generic_maps; undefined: none. */
  readonly generic: AddressMap | undefined;
  readonly log: Log;
}

/** The content as it leaves, from the content as it is queued. Each reading checks, and logs, again: read it to send it only.
 *  The size is that of the queued content, as Postfix tells it. The stream throws ContentCheckError and MappingError. */
export function checkedContent(content: MessageContent, queueId: QueueId, outgoing: OutgoingChecks): MessageContent {
  return { sizeBytes: content.sizeBytes, chunks: () => checkedChunks(content, queueId, outgoing) };
}

async function* checkedChunks(
  content: MessageContent,
  queueId: QueueId,
  { checks, generic, log }: OutgoingChecks,
): AsyncGenerator<Uint8Array> {
  const inspection = new ContentInspection(checks, new DeliveryJudge(queueId, log));
  let intake: HeaderIntake | undefined = new HeaderIntake();
  const header = async (bytes: Buffer, blank: boolean) => {
    const fields = parseFields(bytes, Number.POSITIVE_INFINITY);
    const checked = await inspection.header({ fields, blank, seen: () => undefined });
    const mapped = generic ? await genericFields(checked, generic) : checked;
    return Buffer.concat([headerOf(mapped), CRLF]);
  };
  for await (const chunk of content.chunks()) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (!intake) {
      yield await inspection.body(bytes);
      continue;
    }
    const got = intake.push(bytes);
    if (got.kind === "more") continue;
    intake = undefined;
    yield await header(got.header, got.blank);
    if (got.rest.length > 0) yield await inspection.body(got.rest);
  }
  if (intake) yield await header(intake.end(), true);
  yield await inspection.end();
}

/** Changes and logs lines; of the message nothing is decided here any more. */
class DeliveryJudge implements Judge {
  readonly inspecting = true;
  readonly over = false;
  readonly #queueId: QueueId;
  readonly #log: Log;

  constructor(queueId: QueueId, log: Log) {
    this.#queueId = queueId;
    this.#log = log;
  }

  act(value: string, line: CheckedLine): LineEffect {
    const action = parseCheckAction(value, { ...line, scope: "delivery" });
    if (action.kind === "keep" && action.warning !== undefined) this.#log.warning(printableUtf8(action.warning));
    if ("text" in action) this.#logAction(action, line);
    if (action.kind === "prepend" || action.kind === "replace") return action;
    return { kind: action.kind === "ignore" || action.kind === "strip" ? "drop" : "keep" };
  }

  lookupFailed(map: string, error: TableError): void {
    this.#log.warning(printableUtf8(error.message));
    if (error instanceof EmptyResult) this.#log.warning(`${map} should return NO RESULT in case of NOT FOUND`);
    const what = `${map.slice(0, 4)} ${map.endsWith("body_checks") ? "body" : "header"} checks lookup error`;
    this.#log.warning(`${this.#queueId}: ${what}`);
    throw new ContentCheckError(what, { cause: error });
  }

  /** None is watched. */
  fault(): void {}

  #logAction({ kind, text }: Extract<CheckAction, { text: string }>, line: CheckedLine): void {
    const printable = line.utf8 ? printableUtf8 : printableAscii;
    const shown = line.text.slice(0, SHOWN);
    const found = `${this.#queueId}: ${kind === "warn" ? "warning" : kind}: ${line.what} ${shown}`;
    this.#log.info(printable(text === "" ? found : `${found}: ${text}`), () => ({
      ...{ event: kind, stage: line.what, content: printable(shown), text: printable(text) },
    }));
  }
}
