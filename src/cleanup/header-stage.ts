/** cleanup/header-stage.ts: a header as it has come, made the header of a draft: a priority from a tunnel, what authentication takes
 *  out, our own fields on top, the checks, the limit of hops. */
import { printableAscii } from "../mail/printable.ts";
import { reply } from "../mail/reply.ts";
import type { ContentInspection } from "./content-inspection.ts";
import type { Draft } from "./draft.ts";
import { fieldValue, type HeaderField, parseFields } from "./header-block.ts";
import { messageId } from "./missing-fields.ts";
import { ownField } from "./own-field.ts";
import { receivedField } from "./received.ts";
import { type LeftTunnel, leaveTunnel } from "./tunnelled-priority.ts";

interface GivenHeader {
  readonly fields: readonly HeaderField[];
  /** An empty line ends it. */
  readonly blank: boolean;
}

/** Fills in the fields of the draft, or refuses it. `inspection`: undefined where nothing is checked. A promise only if something
 *  must be waited for. */
export function takeHeader(
  draft: Draft,
  header: { readonly bytes: Buffer; readonly blank: boolean },
  inspection: ContentInspection | undefined,
): void | Promise<void> {
  const { blank } = header;
  const fields = parseFields(header.bytes, draft.deps.params.get("header_size_limit"));
  const { tunnel } = draft.options;
  if (tunnel === undefined) return judgeHeader(draft, { fields, blank }, inspection);
  return leaveTunnel(fields, tunnel).then((left) =>
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
  if (!inspection) {
    for (const field of fields) logMessageId(draft, field);
    return keepHeader(draft, fields);
  }
  const seen = (field: HeaderField) => logMessageId(draft, field);
  const inspected = inspection.header({ fields, blank: given.blank, seen });
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
  } else if (!fields.some(({ name }) => name === "message-id" || name === "resent-message-id")) logMessageId(draft);
}

/** What PREPEND puts on top, and Received. */
function ownFields({ options, deps }: Draft): readonly HeaderField[] {
  const received = receivedField(options, deps.params);
  return [...options.prepend, received].map(ownField);
}

/** Without a field: the one that will be added. */
function logMessageId({ completion, deps, queueId }: Draft, field?: HeaderField): void {
  const { name } = field ?? { name: "message-id" };
  if (name !== "message-id" && name !== "resent-message-id") return;
  const added = completion.completes ? messageId(completion.facts) : "<>";
  const value = field ? printableAscii(fieldValue(field)).slice(0, 1000) : added;
  deps.log.info(`${queueId}: ${name}=${value}`, () => ({ event: "message_id", message_id: value }));
}
