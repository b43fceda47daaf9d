/** cleanup/header-stage.ts: a header as it has come, made the header of a draft: a priority from a tunnel, what authentication takes
 *  out, our own fields on top, the checks, the limit of hops. */
import { nextTurn, SLICE, Turns } from "../base/turns.ts";
import { printableAscii } from "../mail/printable.ts";
import { reply } from "../mail/reply.ts";
import type { ContentInspection } from "./content-inspection.ts";
import type { Draft } from "./draft.ts";
import { FieldParser, fieldValue, type HeaderField, parseFields } from "./header-block.ts";
import { messageId } from "./missing-fields.ts";
import { ownField } from "./own-field.ts";
import { receivedField } from "./received.ts";
import { type LeftTunnel, leaveTunnel } from "./tunnelled-priority.ts";

interface GivenHeader {
  readonly fields: readonly HeaderField[];
  /** An empty line ends it. */
  readonly blank: boolean;
}

/** A header above this size is large: in a smaller one there is nothing that could hold the event loop for long. */
const LARGE = 32_768;

/** Message-IDs of one message that are logged. */
const MOST_IDS = 100;

/** Fills in the fields of the draft, or refuses it. `inspection`: undefined where nothing is checked. A promise only if something
 *  must be waited for. */
export function takeHeader(
  draft: Draft,
  { bytes, blank }: { readonly bytes: Buffer; readonly blank: boolean },
  inspection: ContentInspection | undefined,
): void | Promise<void> {
  const sizeLimit = draft.deps.params.get("header_size_limit");
  if (bytes.length > LARGE) {
    draft.turns = new Turns();
    const parser = new FieldParser(bytes, sizeLimit);
    return parseSlowly(parser).then((fields) => leave(draft, { fields, blank }, inspection));
  }
  return leave(draft, { fields: parseFields(bytes, sizeLimit), blank }, inspection);
}

async function parseSlowly(parser: FieldParser): Promise<readonly HeaderField[]> {
  while (parser.next(SLICE)) await nextTurn();
  return parser.fields;
}

/** Out of the tunnel of a priority. */
function leave(draft: Draft, given: GivenHeader, inspection: ContentInspection | undefined): void | Promise<void> {
  const { tunnel } = draft.options;
  if (tunnel === undefined) return judgeHeader(draft, given, inspection);
  const { blank } = given;
  return leaveTunnel(given.fields, tunnel).then((left) =>
    judgeHeader(draft, { fields: takePriority(draft, left), blank }, inspection),
  );
}

function takePriority(draft: Draft, { fields, priority }: LeftTunnel): readonly HeaderField[] {
  if (priority === "unknown") draft.refuse(reply(451, "4.3.0", "Temporary lookup failure"));
  else if (priority !== undefined) {
    draft.options = { ...draft.options, envelope: { ...draft.options.envelope, priority } };
  }
  return fields;
}

function judgeHeader(
  draft: Draft,
  { fields, blank }: GivenHeader,
  inspection: ContentInspection | undefined,
): void | Promise<void> {
  const { authentication } = draft.options;
  const kept = authentication === undefined ? fields : authentication.header(fields);
  if (kept instanceof Promise) return kept.then((fields) => inspectHeader(draft, { fields, blank }, inspection));
  return inspectHeader(draft, { fields: kept, blank }, inspection);
}

function inspectHeader(
  draft: Draft,
  given: GivenHeader,
  inspection: ContentInspection | undefined,
): void | Promise<void> {
  const own = ownFields(draft);
  draft.ownCount = own.length;
  draft.ledger.compare([], own.slice(0, -1), { why: "asked for by a restriction", rule: "PREPEND" });
  const fields = [...own, ...given.fields];
  const seen = idLog(draft);
  if (!inspection) {
    for (const field of fields) seen(field);
    return keepHeader(draft, fields);
  }
  const inspected = inspection.header({ fields, blank: given.blank, seen, turns: draft.turns });
  if (inspected instanceof Promise) return inspected.then((kept) => keepInspected(draft, fields, kept));
  return keepInspected(draft, fields, inspected);
}

function keepInspected(draft: Draft, fields: readonly HeaderField[], kept: readonly HeaderField[]): void {
  if (kept !== fields) {
    const own = new Set(fields.slice(0, draft.ownCount));
    draft.ownCount = kept.findLastIndex((field) => own.has(field)) + 1;
    // A rule that ends the matter leaves out the rest.
    if (!draft.verdict?.over) draft.ledger.compare(fields, kept, { why: "matched", rule: "header_checks" });
  }
  keepHeader(draft, kept);
}

function keepHeader(draft: Draft, fields: readonly HeaderField[]): void {
  draft.fields = fields;
  draft.refuse(draft.verdict?.rejected);
  if (draft.over) return;
  // Ours is one of them.
  const hops = fields.filter((field) => field.name === "received").length;
  if (hops >= draft.deps.params.get("hopcount_limit")) {
    draft.deps.log.warning(`${draft.queueId}: message rejected: hopcount exceeded`);
    draft.refuse(reply(554, "5.4.0", "Error: too many hops"));
  } else if (!fields.some(isMessageId)) {
    const { completes, facts } = draft.completion;
    logMessageId(draft, "message-id", completes ? messageId(facts) : "<>");
  }
}

/** What PREPEND puts on top, and Received. */
function ownFields({ options, deps }: Draft): readonly HeaderField[] {
  const received = receivedField(options, deps.params);
  return [...options.prepend, received].map(ownField);
}

function isMessageId({ name }: HeaderField): boolean {
  return name === "message-id" || name === "resent-message-id";
}

/** Logs each Message-ID that there is, as Postfix, up to a bound. */
function idLog(draft: Draft): (field: HeaderField) => void {
  let left = MOST_IDS;
  return (field) => {
    if (!isMessageId(field) || left === 0) return;
    left--;
    logMessageId(draft, field.name, printableAscii(fieldValue(field)).slice(0, 1000));
  };
}

function logMessageId({ deps, queueId }: Draft, name: string, value: string): void {
  deps.log.info(`${queueId}: ${name}=${value}`, () => ({ event: "message_id", message_id: value }));
}
