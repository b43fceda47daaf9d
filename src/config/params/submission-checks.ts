/** config/params/submission-checks.ts: the checks of postern_submission_checks, each with a grade. What they look for is
 *  cleanup/duties/; docs/message-repair.md is the page for operators. */
import { type Declaration, ParameterError, splitList } from "../declare.ts";

/** off: not looked at. warn: logged. fix: repaired where it can be, else logged. reject: refused. */
const GRADES = ["off", "warn", "fix", "reject"] as const;
export type Grade = (typeof GRADES)[number];

/** In the order in which a message is checked. The defaults refuse nothing that Postfix takes of a real mail program. */
const DEFAULTS = {
  empty: "fix",
  duplicate: "fix",
  from_twice: "reject",
  eight_bit_header: "fix",
  unqualified: "fix",
  address_syntax: "warn",
  from: "fix",
  sender: "fix",
  login_sender: "off",
  date: "fix",
  message_id: "fix",
  resent: "warn",
  mime_version: "fix",
  transfer_encoding: "fix",
  long_header: "fix",
  long_body: "fix",
} as const satisfies Record<string, Grade>;

export type CheckName = keyof typeof DEFAULTS;
export type Grades = Readonly<Record<CheckName, Grade>>;

/** `check:grade` words; `all` is every check. A later word wins; checks that are not named keep their default. */
export function submissionChecks(doc: string): Declaration<Grades> {
  return { type: "list", default: "", doc, origin: "postern", parse: parseGrades };
}

function parseGrades(text: string, name: string): Grades {
  const grades: Record<CheckName, Grade> = { ...DEFAULTS };
  for (const word of splitList(text, name)) {
    const [check = "", given = "", ...rest] = word.toLowerCase().split(":");
    const grade = GRADES.find((known) => known === given);
    if (grade === undefined || rest.length > 0) {
      throw new ParameterError(
        `bad configuration: ${name}: "${word}" is not CHECK:GRADE; grades: ${GRADES.join(", ")}`,
      );
    }
    if (check === "all") for (const each of CHECK_NAMES) grades[each] = grade;
    else if (isCheck(check)) grades[check] = grade;
    else throw new ParameterError(`bad configuration: ${name}: no check "${check}"; checks: ${CHECK_NAMES.join(", ")}`);
  }
  return grades;
}

const CHECK_NAMES = Object.keys(DEFAULTS) as readonly CheckName[];

function isCheck(word: string): word is CheckName {
  return Object.hasOwn(DEFAULTS, word);
}
