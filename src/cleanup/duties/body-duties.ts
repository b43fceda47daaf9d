/** cleanup/duties/body-duties.ts: the checks of a submitted message that concern its body: long lines, and what duties/mime.ts and
 *  duties/eight-bit-header.ts see of the header, in its parts. What a body has is seen as it streams by; where the fault stands,
 *  and what is to be done, when it has been stored: the header of a part is over when its content shows what it is. */
import type { Parameters } from "../../config/parameters.ts";
import type { CheckName, Grade } from "../../config/params/submission-checks.ts";
import type { Envelope } from "../../mail/envelope.ts";
import { type BodyFaults, findBodyFaults } from "../body-faults.ts";
import { type BodyRepairDeps, rewriteBody } from "../body-repair.ts";
import type { PartChange } from "../body-rewriting.ts";
import type { BodyWatch } from "../body-watch.ts";
import { mimeLimits } from "../content-checks.ts";
import { isPlain } from "../encoded-lines.ts";
import type { HeaderField } from "../header-block.ts";
import type { Ledger } from "../ledger.ts";
import type { BodyInHand } from "../milter-body.ts";
import { parseContentType } from "../mime-fields.ts";
import { PARAMETER, type Refused, refusal, SIGNED } from "./apply.ts";
import { shown, writtenName } from "./duty.ts";
import { withEncoding } from "./mime.ts";
import { isSecure } from "./signed.ts";

const LONG_LINE = "a line of the body is longer than 998 bytes";
const NO_REPAIR = " (cannot be repaired)";
const IN_PART = " (repaired in part)";

export interface BodyDutyDeps {
  readonly params: Parameters;
  readonly envelope: Envelope;
  readonly ledger: Ledger;
  readonly watch: BodyWatch;
  /** Takes a line without queue id. */
  readonly warn: (text: string) => void;
}

/** What the stored body is read for. */
interface Wanted {
  readonly lines: boolean;
  readonly octets: Grade;
  readonly text: Grade;
  /** Somebody has signed the body, and that counts. */
  readonly left: boolean;
}

/** What is found, and what would mend it. */
interface Found {
  readonly check: CheckName;
  readonly grade: Grade;
  readonly problem: string;
  /** undefined: nothing would. */
  readonly mend: (() => void) | undefined;
  /** It would not mend all. */
  readonly inPart?: boolean;
  /** For the ledger. */
  readonly what: string;
}

export class BodyDuties {
  readonly #deps: BodyDutyDeps;
  /** undefined: it is not read. */
  #wanted: Wanted | undefined;

  constructor(deps: BodyDutyDeps) {
    this.#deps = deps;
  }

  /** repair() has something to look at. */
  get reads(): boolean {
    return this.#wanted !== undefined;
  }

  /** All of the body has been seen, and `fields` are mended. `signed`: somebody has signed the body. */
  check(fields: readonly HeaderField[], signed: boolean): Refused | undefined {
    const { params, envelope, watch } = this.#deps;
    // Binary content has no lines: what it is for others is decided where it is sent.
    if (envelope.body === "BINARYMIME") return undefined;
    const grades = params.get(PARAMETER);
    const left = signed && !params.get("postern_repair_signed");
    const { longLine, eightBit } = watch.facts;
    if (longLine && grades.long_body === "reject") return refusal("long_body", LONG_LINE);
    const lines = longLine && grades.long_body === "fix" && !left;
    if (longLine && grades.long_body !== "off" && !lines)
      this.#deps.warn(`check long_body: ${LONG_LINE}${left ? SIGNED : ""}`);
    const hasParts = isComposite(fields);
    const reads = eightBit && !(hasParts && mimeLimits(params).disabled);
    const octets = reads && (hasParts || isSevenBit(params)) ? grades.transfer_encoding : "off";
    const text = reads && hasParts ? grades.eight_bit_header : "off";
    if (lines || octets !== "off" || text !== "off") this.#wanted = { lines, octets, text, left };
    return undefined;
  }

  /** What is to be done to the body; the header that fits it. `body` follows. Rejects QueueError. */
  async repair(
    fields: readonly HeaderField[],
    body: BodyInHand,
    deps: BodyRepairDeps,
  ): Promise<{ readonly fields: readonly HeaderField[] } | { readonly refused: Refused }> {
    const wanted = this.#wanted;
    if (!wanted) return { fields };
    const { params, envelope, watch, ledger } = this.#deps;
    const limits = mimeLimits(params);
    const { queueId, smtputf8 } = envelope;
    const isSealed = (field: string) => !params.get("postern_repair_signed") && isSecure(field);
    const faults = await findBodyFaults(deps.store.readBody(body.stored), fields, { limits, smtputf8, isSealed });
    const parts = new Map<number, PartChange>();
    const changes = { parts, fields: false, smtputf8, facts: watch.facts };
    const found = [
      wanted.lines ? longLines(faults, parts, limits.disabled) : undefined,
      wanted.octets === "off" ? undefined : this.#octets(faults, parts, wanted.octets),
      wanted.text === "off"
        ? undefined
        : fieldText(faults, wanted.text, () => Object.assign(changes, { fields: true })),
    ];
    const mended = this.#settle(found, wanted.left || faults.sealed);
    if ("refused" in mended) return mended;
    if (mended.all.length === 0) return { fields };
    await rewriteBody(fields, body, { ...deps, queueId, limits, changes });
    for (const one of mended.all) ledger.record(one.what, { why: one.problem, rule: `${one.check}:fix` });
    const [first] = mended.all;
    if (first === undefined || parts.get(0) !== "encode" || !isPlain(faults.own)) return { fields };
    const labelled = withEncoding(fields, "quoted-printable", watch.facts);
    ledger.compare(fields, labelled, { why: first.problem, rule: `${first.check}:fix` });
    return { fields: labelled };
  }

  /** Does what the grades say, up to the first refusal. */
  #settle(
    found: readonly (Found | undefined)[],
    left: boolean,
  ): { readonly all: readonly Found[] } | { readonly refused: Refused } {
    const all: Found[] = [];
    for (const one of found) {
      if (one === undefined) continue;
      const { check, grade, problem, mend, inPart } = one;
      if (grade === "reject") return { refused: refusal(check, problem) };
      const mends = grade === "fix" && mend !== undefined && !left;
      if (mends) {
        mend();
        all.push(one);
      }
      const why = grade === "warn" ? "" : mends ? IN_PART : left && mend && this.#wanted?.left ? SIGNED : NO_REPAIR;
      if (!mends || inPart) this.#deps.warn(`check ${check}: ${problem}${why}`);
    }
    return { all };
  }

  /** Of the message itself, the header has been mended (duties/mime.ts), unless all has to become 7-bit. */
  #octets(faults: BodyFaults, parts: Map<number, PartChange>, grade: Grade): Found | undefined {
    const { unlabelled, around, tooMany, encodedEightBit } = faults;
    const sevenBit = isSevenBit(this.#deps.params);
    const wrong = [...unlabelled].filter(([number]) => number !== 0 || sevenBit);
    const lost = sevenBit && encodedEightBit;
    if (wrong.length === 0 && !lost) return undefined;
    const where = wrong[0]?.[0] === 0 ? "content" : "content of a part";
    const problem = `8-bit ${where} is called ${wrong.length === 0 ? "encoded" : "7bit"}`;
    const encodable = wrong.filter(([, can]) => can).map(([number]) => number);
    if (sevenBit) {
      const mend = () => {
        for (const number of encodable) parts.set(number, "encode");
      };
      const inPart = lost || encodable.length < wrong.length;
      const can = encodable.length > 0 && !tooMany;
      return { check: "transfer_encoding", grade, problem, mend: can ? mend : undefined, inPart, what: "body encoded" };
    }
    const mend = () => {
      for (const number of [...wrong.map(([number]) => number), ...around]) {
        if (number !== 0 && !parts.has(number)) parts.set(number, "label");
      }
    };
    const what = "Content-Transfer-Encoding of parts replaced";
    return { check: "transfer_encoding", grade, problem, mend: tooMany ? undefined : mend, what };
  }
}

function longLines(faults: BodyFaults, parts: Map<number, PartChange>, disabled: boolean): Found {
  // Without MIME, nothing is known of how the content is encoded.
  const can = !disabled && !faults.longElsewhere && faults.long.size > 0;
  const mend = () => {
    for (const number of faults.long) parts.set(number, "encode");
  };
  return { check: "long_body", grade: "fix", problem: LONG_LINE, mend: can ? mend : undefined, what: "body encoded" };
}

function fieldText(faults: BodyFaults, grade: Grade, mend: () => void): Found | undefined {
  const { field, fieldsMendable, fieldsLeft } = faults;
  if (field === undefined) return undefined;
  const value = shown(field.text.slice(field.text.indexOf(":") + 1));
  return {
    ...{ check: "eight_bit_header", grade, problem: `8-bit text in ${writtenName(field)} of a part: ${value}` },
    ...{ mend: fieldsMendable ? mend : undefined, inPart: fieldsLeft, what: "fields of parts encoded" },
  };
}

/** The message shall be what every next hop takes. */
export function isSevenBit(params: Parameters): boolean {
  return params.get("force_mime_input_conversion");
}

function isComposite(fields: readonly HeaderField[]): boolean {
  const field = fields.find(({ name }) => name === "content-type");
  const type = field && parseContentType(field.text.slice(field.text.indexOf(":") + 1))?.type;
  return type === "multipart" || type === "message";
}
