/** cleanup/duties/apply.ts: runs the checks of a submitted message in order and does what their grades say: nothing, a line in
 *  the log, a repair, or a refusal. Never for mail that only passes through (MOD-14). */
import type { Turns } from "../../base/turns.ts";
import type { CheckName, Grades } from "../../config/params/submission-checks.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import type { HeaderField } from "../header-block.ts";
import type { Ledger } from "../ledger.ts";
import type { Steps } from "../steps.ts";
import { addressSyntax, unqualified } from "./addresses.ts";
import { date } from "./date.ts";
import { type Duty, type DutyFacts, type FieldDuty, findInFields } from "./duty.ts";
import { eightBitHeader } from "./eight-bit-header.ts";
import { messageId } from "./identification.ts";
import { longHeader } from "./long-header.ts";
import { mimeVersion, transferEncoding } from "./mime.ts";
import { from, fromTwice, loginSender, sender } from "./originator.ts";
import { duplicate, empty } from "./repeated.ts";
import { resent } from "./resent.ts";
import type { Signed } from "./signed.ts";

export const PARAMETER = "postern_submission_checks";

/** Behind a fault that is left for that reason. */
export const SIGNED = " (left as it is: the message is signed)";

/** What a repair would damage, if somebody has signed it. */
type Touches = "header" | "body";

interface Check {
  readonly name: Exclude<CheckName, "long_body">;
  readonly touches: Touches;
  /** Of the header, or of each field. */
  readonly duty: { readonly header: Duty } | { readonly field: FieldDuty };
}

/** Repairs of the first ones are what the later ones see. */
const CHECKS: readonly Check[] = [
  { name: "empty", duty: { header: empty }, touches: "header" },
  { name: "duplicate", duty: { header: duplicate }, touches: "header" },
  { name: "from_twice", duty: { header: fromTwice }, touches: "header" },
  { name: "eight_bit_header", duty: { field: eightBitHeader }, touches: "header" },
  { name: "unqualified", duty: { field: unqualified }, touches: "header" },
  { name: "address_syntax", duty: { field: addressSyntax }, touches: "header" },
  { name: "from", duty: { header: from }, touches: "header" },
  { name: "sender", duty: { header: sender }, touches: "header" },
  { name: "login_sender", duty: { header: loginSender }, touches: "header" },
  { name: "date", duty: { header: date }, touches: "header" },
  { name: "message_id", duty: { header: messageId }, touches: "header" },
  { name: "resent", duty: { header: resent }, touches: "header" },
  { name: "mime_version", duty: { header: mimeVersion }, touches: "body" },
  { name: "transfer_encoding", duty: { header: transferEncoding }, touches: "body" },
  { name: "long_header", duty: { field: longHeader }, touches: "header" },
];

export interface DutyRun {
  readonly grades: Grades;
  readonly facts: DutyFacts;
  readonly signed: Signed;
  /** postern_repair_signed */
  readonly force: boolean;
  readonly ledger: Ledger;
  /** Takes a line without queue id. */
  readonly warn: (text: string) => void;
  /** Of a header that is large. */
  readonly turns?: Turns | undefined;
}

export interface Refused {
  readonly check: CheckName;
  readonly reply: Reply;
}

/** The header as it shall be. */
export function* applyDuties(
  given: readonly HeaderField[],
  run: DutyRun,
): Steps<{ readonly fields: readonly HeaderField[] } | { readonly refused: Refused }> {
  let fields = given;
  for (const { name: check, duty, touches } of CHECKS) {
    const grade = run.grades[check];
    if (grade === "off") continue;
    const wait = run.turns?.spend(fields.length);
    if (wait) yield wait;
    const found = "field" in duty ? yield* findInFields(duty.field, fields, run) : duty.header(fields, run.facts);
    if (found === undefined) continue;
    if (grade === "reject") return { refused: refusal(check, found.problem) };
    const kept = run.signed[touches] && !run.force && found.fields !== fields;
    if (grade === "fix" && found.fields !== undefined && !kept) {
      run.ledger.compare(fields, found.fields, { why: found.problem, rule: `${check}:fix` });
      fields = found.fields;
      if (found.left) run.warn(`check ${check}: ${found.problem} (repaired in part)`);
      continue;
    }
    const why = grade === "warn" ? "" : kept ? SIGNED : " (cannot be repaired)";
    run.warn(`check ${check}: ${found.problem}${why}`);
  }
  return { fields };
}

/** RFC 6409 §6.3 (SUB-24): 554 is for syntax, 550 for what this user may not do. The text is printable. */
export function refusal(check: CheckName, problem: string): Refused {
  const text = `Error: message refused by check ${check}: ${problem}`;
  return { check, reply: check === "login_sender" ? reply(550, "5.7.1", text) : reply(554, "5.6.0", text) };
}
