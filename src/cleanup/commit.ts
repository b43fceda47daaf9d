/** cleanup/commit.ts: the last steps of a message that nothing stands against, in their order: missing fields, results of
 *  authentication, repairs of the body, Milters, signature, and the commit with envelope and lanes. */
import { nextTurn } from "../base/turns.ts";
import type { Signing } from "../dkim/create.ts";
import { sentMs } from "../mail/future-release.ts";
import { reply } from "../mail/reply.ts";
import { type NewMessage, type NewRecipient, QueueError, type StoredBody } from "../queue/store.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { Draft } from "./draft.ts";
import type { SubmissionDuties } from "./duties/submission-duties.ts";
import type { HeaderField } from "./header-block.ts";
import { logChanges } from "./ledger.ts";
import type { MappedEnvelope } from "./map-envelope.ts";
import { type MilterPass, milterPass } from "./milter-pass.ts";
import { type MilterOutput, recordMilters } from "./milter-stage.ts";
import { ownField } from "./own-field.ts";
import { filteredEnvelope, type Prepared, redirectedTo, refuseUnmapped } from "./preparation.ts";
import { markedEnvelope } from "./transport-marks.ts";

/** A message on its way through the last steps. */
interface Ready {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
  readonly hold: boolean;
  /** What milter_header_checks has said. */
  readonly afterMilters?: Pick<MilterOutput, "filter" | "redirect"> | undefined;
}

/** Whether the message is queued. If not, it is refused, or a Milter wants it discarded; its body is to be dropped, unless the store
 *  itself does not know whether it has the message: "undecided". */
export async function commit(
  draft: Draft,
  { fields, mapped }: Prepared,
  hold: boolean,
): Promise<"queued" | "dropped" | "undecided"> {
  const { deps, ledger, duties, body, turns } = draft;
  const { authentication } = draft.options;
  const results = authentication && (await authentication.resultsField());
  const above = results === undefined ? [] : [ownField(results)];
  if (turns) await nextTurn();
  const completed = [...above, ...draft.completion.complete(fields, mapped.sender, ledger)];
  try {
    const wait = body.finish();
    if (wait) await wait;
    const repaired = duties?.readsBody ? await repairBody(draft, duties, completed) : completed;
    if (repaired === undefined) return "dropped";
    const milters = milterPass(draft.options, deps);
    const whole = { fields: repaired, mapped, hold };
    const passed = milters ? await passMilters(draft, milters, { ...whole, above: above.length }) : whole;
    if (passed === undefined) return "dropped";
    const told = duties?.tell(passed.fields) ?? passed.fields;
    if (turns) await nextTurn();
    const { signing } = body.reading;
    const signed = signing ? await sign(draft, told, signing) : told;
    if (signed === undefined) return "dropped";
    if (turns) await nextTurn();
    const { claimed, message } = await append(draft, { ...passed, fields: signed });
    logChanges(ledger, draft.queueId, deps);
    if (claimed) deps.arrived(claimed);
    else if (message.envelope.futureRelease) deps.dueAt(message.envelope.futureRelease.untilMs);
    else if (!message.hold) deps.poke();
    return "queued";
  } catch (error) {
    if (error instanceof MappingError) {
      refuseUnmapped(draft, error); // of an address that a Milter has added
      return "dropped";
    }
    if (!(error instanceof QueueError)) throw error;
    draft.storageFailed(error);
    return error.undecided ? "undecided" : "dropped";
  }
}

/** undefined: the message is refused. */
async function repairBody(
  draft: Draft,
  duties: SubmissionDuties,
  fields: readonly HeaderField[],
): Promise<readonly HeaderField[] | undefined> {
  const { body, deps } = draft;
  const done = await duties.repairBody(fields, body, { store: deps.store, readAnew: () => draft.beginReading() });
  if ("fields" in done) return done.fields;
  draft.refuse(done.refused);
  return undefined;
}

/** `above`: how many fields stand in front of those of PREPEND. undefined: the message is refused, or to be discarded. */
async function passMilters(
  draft: Draft,
  milters: MilterPass,
  { fields, mapped, hold, above }: Ready & { readonly above: number },
): Promise<Ready | undefined> {
  const { body, options, ledger } = draft;
  const given: StoredBody = body.stored;
  const prepended = above + options.prepend.length;
  const out = await milters({ fields, prepended, mapped, body, readAnew: () => draft.beginReading() });
  draft.refuse(out.refusal);
  if (out.refusal || out.discard) return undefined;
  recordMilters(ledger, { fields, mapped, body: given }, { ...out, body: body.stored });
  const { redirect } = out;
  const recipients = redirect === undefined ? out.mapped.recipients : redirectedTo(redirect, draft);
  // A Milter has removed them all: taken, and for nobody, as in Postfix.
  if (recipients.length === 0) return undefined;
  return { fields: out.fields, mapped: { ...out.mapped, recipients }, hold: hold || out.hold, afterMilters: out };
}

/** undefined: the message is refused, because it cannot be signed now. */
async function sign(
  draft: Draft,
  fields: readonly HeaderField[],
  signing: Signing,
): Promise<readonly HeaderField[] | undefined> {
  const { signer, log, authors } = draft.deps;
  const scene = { envelope: draft.options.envelope, log, turns: draft.turns };
  const owned = await (authors?.maySign([draft.fields, fields], scene) ?? true);
  const signed = await signing.sign(fields, { owned });
  if (signed.kind === "signed") {
    const all = [...signed.fields.map(ownField), ...fields];
    draft.ledger.compare(fields, all, { why: "signed for the sender's domain", rule: "DKIM" });
    return all;
  }
  draft.warn(`cannot sign: ${signed.reason}`);
  if (signer?.whenUnavailable === "accept") return fields;
  draft.refuse(reply(451, "4.7.5", "Error: message cannot be signed, try again later"));
  return undefined;
}

async function append(draft: Draft, { fields, mapped: { recipients, sender }, hold, afterMilters }: Ready) {
  const { deps, ledger, body } = draft;
  const marks = { fields, eightBit: body.reading.eightBit, params: deps.params };
  const filtered = filteredEnvelope(draft, afterMilters);
  const envelope = markedEnvelope({ ...filtered, sender, changes: ledger.changes }, marks);
  const dueMs = sentMs(envelope);
  const rows: NewRecipient[] = [];
  for (const recipient of recipients) {
    const routed = deps.laneOf(recipient.address, envelope.sender, envelope.filter);
    const lane = typeof routed === "string" ? routed : await routed;
    rows.push({ ...recipient, lane, dueMs });
  }
  const message: NewMessage = { envelope, header: headerBlock(fields), body: body.stored, recipients: rows, hold };
  const claimed = await deps.store.append(message, { claim: !hold && dueMs <= envelope.arrivalMs });
  return { claimed, message };
}

/** Fields are latin1 text of their bytes. */
function headerBlock(fields: readonly HeaderField[]): Buffer {
  return Buffer.from(`${fields.map((field) => `${field.text}\r\n`).join("")}\r\n`, "latin1");
}
