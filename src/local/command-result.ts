/** local/command-result.ts: what the end of a command means for the mail that it got: exit statuses of sysexits.h, an enhanced status at
 *  the beginning of its output, signals, time limits; Postfix's words (pipe(8), local(8)). */
import { unreachable } from "../base/unreachable.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { bounced, deferred, type Result, sent } from "./result.ts";

/** How a command ended. `output`: what it wrote, cut. */
export type CommandEnd =
  | { readonly kind: "exit"; readonly status: number; readonly output: string }
  | { readonly kind: "signal"; readonly signal: number; readonly output: string }
  | { readonly kind: "timeLimit"; readonly output: string }
  /** It was not started; `text` is what Postfix's child would have said. */
  | { readonly kind: "notStarted"; readonly text: string }
  /** The configuration does not allow it. */
  | { readonly kind: "refused" };

/** Bytes of output that are kept. */
export const MAX_COMMAND_OUTPUT = 4096;

const EXITS: ReadonlyMap<number, readonly [dsn: string, text: string]> = new Map([
  [64, ["5.3.0", "command line usage error"]],
  [65, ["5.6.0", "data format error"]],
  [66, ["5.3.0", "cannot open input"]],
  [67, ["5.1.1", "user unknown"]],
  [68, ["5.1.2", "host name unknown"]],
  [69, ["5.3.0", "service unavailable"]],
  [70, ["5.3.0", "internal software error"]],
  [71, ["4.3.0", "system resource problem"]],
  [72, ["5.3.0", "critical OS file missing"]],
  [73, ["5.2.0", "can't create user output file"]],
  [74, ["5.3.0", "input/output error"]],
  [75, ["4.3.0", "temporary failure"]],
  [76, ["5.5.0", "remote error in protocol"]],
  [77, ["5.7.0", "permission denied"]],
  [78, ["5.3.5", "local configuration error"]],
]);

const ENHANCED_STATUS = /^([245])(\.\d{1,3}\.\d{1,3})(?:[ \t\n]+|$)/;
/** Output that a success tells, in characters. */
const MAX_SUCCESS_OUTPUT = 100;

/** How texts name a command. */
export interface CommandTexts {
  /** In failures. */
  readonly command: string;
  /** The text of success. */
  readonly done: string;
  /** What it wrote is not told with success. */
  readonly quiet?: boolean | undefined;
}

export function commandResult(end: CommandEnd, { command, done, quiet }: CommandTexts): Result {
  switch (end.kind) {
    case "exit":
      return end.status === 0 ? success(quiet === true ? "" : end.output, done) : failure(end, command);
    case "signal":
      return deferred("4.3.0", `Command died with signal ${end.signal}: "${command}"${outputOf(end.output)}`);
    case "timeLimit":
      return bounced("5.3.0", `Command time limit exceeded: "${command}"${outputOf(end.output)}`);
    case "notStarted":
      return deferred("4.3.0", `temporary failure. Command output: ${printable(end.text)}`);
    case "refused":
      return deferred("4.3.5", "mail system configuration error");
    default:
      return unreachable(end);
  }
}

function success(output: string, done: string): Result {
  const shown = printable(output.trimEnd()).slice(0, MAX_SUCCESS_OUTPUT);
  return sent(shown === "" ? done : `${done} (${shown})`);
}

function failure({ status, output }: { readonly status: number; readonly output: string }, command: string): Result {
  const [whole, statusClass, detail] = ENHANCED_STATUS.exec(output) ?? [];
  if (whole !== undefined) {
    const text = printable(output.slice(whole.length)) || "command gave no reason";
    if (statusClass === "4") return deferred(`4${detail}`, text);
    return bounced(statusClass === "5" ? `5${detail}` : "5.0.0", text);
  }
  const [dsn, text] = EXITS.get(status) ?? [];
  if (dsn === undefined) return bounced("5.3.0", `Command died with status ${status}: "${command}"${outputOf(output)}`);
  const told = `${text}${outputOf(output)}`;
  return dsn.startsWith("4") ? deferred(dsn, told) : bounced(dsn, told);
}

function outputOf(output: string): string {
  return output === "" ? "" : `. Command output: ${printable(output)}`;
}

/** Lines become one. */
function printable(text: string): string {
  return printableUtf8(text.replaceAll("\n", " "));
}
