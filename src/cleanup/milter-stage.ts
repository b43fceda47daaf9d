/** cleanup/milter-stage.ts: a whole message before the Milters, and what they make of it (cleanup_milter.c is the reference for the
 *  words of the log). Each Milter gets the body as the one before it left it: from memory or from its file, never whole. */
import type { Address } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { type FieldCheck, MessageEdits } from "../milter/edits.ts";
import type { MilterSession } from "../milter/milters.ts";
import type { StoredBody } from "../queue/store.ts";
import { TableError } from "../tables/table.ts";
import type { BodyReading } from "./body-reading.ts";
import type { CheckMaps } from "./content-checks.ts";
import { type DecodedLine, fieldFrom, lookupLine } from "./content-inspection.ts";
import { ContentVerdict } from "./content-verdict.ts";
import type { HeaderField } from "./header-block.ts";
import type { Ledger } from "./ledger.ts";
import type { MappedEnvelope } from "./map-envelope.ts";
import { type BodyInHand, type MilterBodyDeps, MilterBodyFile } from "./milter-body.ts";
import { changedEnvelope, type EnvelopeChanges } from "./milter-envelope.ts";
import { logMilterAction, type MilterScene } from "./milter-log.ts";

export interface MilterStageDeps extends EnvelopeChanges, MilterScene, MilterBodyDeps {
  readonly milters: MilterSession;
  readonly envelope: Envelope;
  /** milter_header_checks; undefined: none. */
  readonly checks: CheckMaps | undefined;
}

export interface MilterInput {
  readonly fields: readonly HeaderField[];
  /** How many of the fields stand in front of our own Received. */
  readonly prepended: number;
  readonly mapped: MappedEnvelope;
  /** Follows a new body: after the call, and if it rejects, it tells who has the body. */
  readonly body: BodyInHand;
  readonly readAnew: () => BodyReading;
}

export interface MilterOutput {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
  readonly hold: boolean;
  readonly discard: boolean;
  readonly refusal: Reply | undefined;
  /** Of milter_header_checks: the last FILTER, and REDIRECT. */
  readonly filter: string | undefined;
  readonly redirect: Address | undefined;
}

/** Rejects QueueError and MappingError. */
export async function passMilters(
  { fields, prepended, mapped, body: inHand, readAnew }: MilterInput,
  deps: MilterStageDeps,
): Promise<MilterOutput> {
  const { envelope, recipient, log } = deps;
  const verdict = deps.checks && new ContentVerdict({ envelope, recipient, log, ofMilter: true });
  const check = verdict && deps.checks ? fieldCheck(deps.checks, verdict) : undefined;
  const edits = new MessageEdits(fields, fields[prepended], check);
  const body = new MilterBodyFile(inHand, readAnew, deps);
  const answer = await finallyDropped(body, () => deps.milters.message(edits, body));
  const decided = verdict?.rejected ?? (body.tooBig ? tooBig(deps) : undefined);
  const refusal = decided ?? (answer.kind === "refuse" && !verdict?.discard ? answer.reply : undefined);
  if (!decided && !verdict?.discard && answer.kind !== "continue") logMilterAction("END-OF-MESSAGE", answer, deps);
  return {
    fields: edits.fields,
    mapped: await changedEnvelope(mapped, edits, deps),
    hold: answer.kind === "hold" || verdict?.hold === true,
    discard: answer.kind === "discard" || verdict?.discard === true,
    refusal,
    filter: verdict?.filter,
    redirect: verdict?.redirect,
  };
}

/** A message before and after the Milters. */
interface Whole {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
  readonly body: StoredBody;
}

/** What the Milters changed of it. */
export function recordMilters(ledger: Ledger, given: Whole, out: Whole): void {
  const occasion = { why: "a Milter asked for it", rule: "smtpd_milters" };
  ledger.compare(given.fields, out.fields, occasion);
  if (out.body !== given.body) ledger.record("body replaced", occasion);
  if (out.mapped.sender !== given.mapped.sender) ledger.record("sender replaced", occasion);
  const before = new Set(given.mapped.recipients.map(({ address }) => address));
  const after = new Set(out.mapped.recipients.map(({ address }) => address));
  for (const address of before) if (!after.has(address)) ledger.record(`recipient <${address}> removed`, occasion);
  for (const address of after) if (!before.has(address)) ledger.record(`recipient <${address}> added`, occasion);
}

async function finallyDropped<T>(body: MilterBodyFile, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    await body.dropNew();
    throw error;
  }
}

function tooBig({ envelope, log }: MilterStageDeps): Reply {
  log.warning(`${envelope.queueId}: queue file size limit exceeded`);
  return reply(552, "5.3.4", "Error: message file too big");
}

/** Asks milter_header_checks about a field that a Milter makes. */
function fieldCheck(maps: CheckMaps, verdict: ContentVerdict): FieldCheck {
  const judge = (field: HeaderField, line: DecodedLine, found: string | undefined): HeaderField | "drop" | "over" => {
    if (found === undefined) return field;
    const effect = verdict.act(found, { map: maps.name, what: "header", ...line });
    if (verdict.over) return "over";
    if (effect.kind === "drop") return "drop";
    return effect.kind === "replace" ? fieldFrom(effect.text, line) : field;
  };
  const failed = (error: unknown) => {
    if (!(error instanceof TableError)) throw error;
    verdict.lookupFailed(maps.name, error);
    return "over" as const;
  };
  return (field) => {
    if (!verdict.inspecting) return field;
    try {
      const line = lookupLine(field);
      const found = maps.find(line.text);
      if (!(found instanceof Promise)) return judge(field, line, found);
      return found.then((value) => judge(field, line, value)).catch(failed);
    } catch (error) {
      return failed(error);
    }
  };
}
