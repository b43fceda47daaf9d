/** cli/sendmail-options.ts: the command line of sendmail(1): Postfix's set of options, those that are ignored, and its words
 *  for what is wrong. As in POSIX, options end at the first word that is none. Pure. */
import type { NotifyCondition } from "../mail/dsn.ts";
import { EXIT } from "./terminal.ts";

export type SendmailMode = "deliver" | "smtp" | "verify" | "list" | "newaliases" | "daemon" | "flush";

export interface SendmailOptions {
  readonly mode: SendmailMode;
  /** -f, -r; undefined: who runs it. */
  readonly sender: string | undefined;
  /** -F. */
  readonly fullName: string | undefined;
  /** -t: recipients are in the header, too. */
  readonly extract: boolean;
  /** A line with only a dot ends the message; not with -i. */
  readonly dotEnds: boolean;
  readonly gateway: boolean;
  readonly notify: readonly NotifyCondition[] | undefined;
  readonly ret: "FULL" | "HDRS" | undefined;
  readonly envid: string | undefined;
  readonly body: "7BIT" | "8BITMIME" | undefined;
  /** -v: a report of the delivery is wanted. */
  readonly report: boolean;
  /** -C: a directory. */
  readonly configDirectory: string | undefined;
  /** -qI. */
  readonly queueId: string | undefined;
  /** -qR. */
  readonly site: string | undefined;
  /** -oA. */
  readonly aliasDatabase: string | undefined;
  readonly operands: readonly string[];
  /** For stderr. */
  readonly warnings: readonly string[];
}

/** Why nothing was done; the text is Postfix's where it has one. */
export class SendmailError extends Error {
  override readonly name = "SendmailError";
  readonly status: number;
  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

type Draft = { -readonly [K in keyof SendmailOptions]: SendmailOptions[K] } & { warnings: string[] };
type Take = (draft: Draft, value: string) => void;

const usage = (text: string) => new SendmailError(EXIT.usage, text);
const ignore: Take = () => undefined;

const MODES: ReadonlyMap<string, SendmailMode> = new Map([
  ["d", "daemon"],
  ["l", "daemon"],
  ["i", "newaliases"],
  ["m", "deliver"],
  ["p", "list"],
  ["s", "smtp"],
  ["v", "verify"],
]);

const set =
  (change: Partial<SendmailOptions>): Take =>
  (draft) =>
    void Object.assign(draft, change);

const FLAGS: ReadonlyMap<string, Take> = new Map<string, Take>([
  ["G", set({ gateway: true })],
  ["I", set({ mode: "newaliases" })],
  ["i", set({ dotEnds: false })],
  ["t", set({ extract: true })],
  ["v", set({ report: true })],
  ["n", () => fail("-n option not supported")],
  ...["U", "c", "m", "x"].map((letter) => [letter, ignore] as const),
]);

const VALUES: ReadonlyMap<string, Take> = new Map<string, Take>([
  ["B", takeBody],
  ["C", takeConfig],
  ["F", (draft, value) => set({ fullName: value })(draft, "")],
  ["N", takeNotify],
  ["R", takeRet],
  ["V", takeEnvid],
  [
    "X",
    (_, value) => fail(value.startsWith("V") ? "-XV is not supported: there is no VERP" : `unsupported: -X${value[0]}`),
  ],
  ["b", takeMode],
  ["f", (draft, value) => set({ sender: value })(draft, "")],
  ["o", takeOther],
  ["q", takeQueue],
  ["r", (draft, value) => set({ sender: value })(draft, "")],
  ...["A", "L", "O", "e", "h", "p"].map((letter) => [letter, ignore] as const),
]);

/** Throws SendmailError. */
export function parseSendmailOptions(args: readonly string[]): SendmailOptions {
  const draft: Draft = {
    ...{ mode: "deliver", extract: false, dotEnds: true, gateway: false, report: false, operands: [], warnings: [] },
    ...{ sender: undefined, fullName: undefined, notify: undefined, ret: undefined, envid: undefined, body: undefined },
    ...{ configDirectory: undefined, queueId: undefined, site: undefined, aliasDatabase: undefined },
  };
  let at = 0;
  for (; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--") {
      at++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    if (word === "-q") draft.mode = "flush";
    else at += takeWord(draft, word, args[at + 1]);
  }
  draft.operands = args.slice(at);
  checkTogether(draft);
  return draft;
}

/** One word of options, as `-ti` or `-fa@b`; how many words behind it belong to it. */
function takeWord(draft: Draft, word: string, next: string | undefined): number {
  for (let i = 1; i < word.length; i++) {
    const letter = word.charAt(i);
    const flag = FLAGS.get(letter);
    if (flag) {
      flag(draft, "");
      continue;
    }
    const take = VALUES.get(letter);
    if (!take) throw usage(`invalid option -- '${letter}'; usage: sendmail [options]`);
    const attached = word.slice(i + 1);
    const value = attached === "" ? next : attached;
    if (value === undefined) throw usage(`option requires an argument -- '${letter}'; usage: sendmail [options]`);
    take(draft, value);
    // -o x value
    const further = letter === "o" && value.length === 1 && !"78im".includes(value) ? 1 : 0;
    return (attached === "" ? 1 : 0) + further;
  }
  return 0;
}

function fail(text: string): never {
  throw usage(text);
}

function takeBody(draft: Draft, value: string): void {
  if (value !== "7BIT" && value !== "8BITMIME") throw usage("-B option needs 8BITMIME or 7BIT");
  draft.body = value;
}

function takeConfig(draft: Draft, value: string): void {
  draft.configDirectory = value.replace(/\/?main\.cf$/, "") || ".";
}

const CONDITIONS: readonly NotifyCondition[] = ["NEVER", "SUCCESS", "FAILURE", "DELAY"];

function takeNotify(draft: Draft, value: string): void {
  const words = value
    .toUpperCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  const found = CONDITIONS.filter((condition) => words.includes(condition));
  const known = words.every((word) => CONDITIONS.some((condition) => condition === word));
  if (!known || found.length === 0 || (found.includes("NEVER") && found.length > 1)) {
    draft.warnings.push("bad -N option value -- ignored");
  } else draft.notify = found;
}

function takeRet(draft: Draft, value: string): void {
  const ret = value.toUpperCase();
  if (ret === "FULL" || ret === "HDRS") draft.ret = ret;
  else draft.warnings.push("bad -R option value -- ignored");
}

function takeEnvid(draft: Draft, value: string): void {
  if (value.length > 100) draft.warnings.push("too long -V option value -- ignored");
  else if (!/^[\x20-\x7e]+$/.test(value)) draft.warnings.push("bad syntax in -V option value -- ignored");
  else draft.envid = value;
}

function takeMode(draft: Draft, value: string): void {
  if (/^[hH]/.test(value)) return; // host status: ignored
  const mode = MODES.get(value.charAt(0));
  if (!mode) throw usage(`unsupported: -b${value.charAt(0)}`);
  draft.mode = mode;
}

function takeOther(draft: Draft, value: string): void {
  if (value.startsWith("i")) draft.dotEnds = false;
  if (!value.startsWith("A")) return;
  if (value === "A") throw usage("-oA requires pathname");
  draft.aliasDatabase = value.slice(1);
}

function takeQueue(draft: Draft, value: string): void {
  const rest = value.slice(1);
  if (/^\d/.test(value)) return; // an interval: ignored
  if (value.startsWith("R")) {
    if (rest === "") throw usage("specify: -qRsitename");
    draft.site = rest;
  } else if (value.startsWith("I")) {
    if (rest === "") throw usage("specify: -qIqueueid");
    draft.queueId = rest;
  } else throw usage(`-q${value.charAt(0)} is not implemented`);
}

const WITHOUT_RECIPIENTS: ReadonlyMap<SendmailMode, string> = new Map([
  ["list", "display queue mode requires no recipient"],
  ["flush", "flush queue mode requires no recipient"],
  ["daemon", "daemon mode requires no recipient"],
  ["newaliases", "alias initialization mode requires no recipient"],
  ["smtp", "stand-alone mode requires no recipient"],
]);

function checkTogether({ mode, extract, site, queueId, operands }: Draft): void {
  if (extract && mode === "verify") throw usage("-t option cannot be used with -bv");
  if (extract && mode !== "deliver") throw usage("-t can be used only in delivery mode");
  if (site !== undefined && mode !== "deliver") throw usage("-qR can be used only in delivery mode");
  if (queueId !== undefined && mode !== "deliver") throw usage("-qI can be used only in delivery mode");
  if (operands.length === 0) return;
  if (site !== undefined) throw usage("flush site requires no recipient");
  if (queueId !== undefined) throw usage("flush queue_id requires no recipient");
  const text = WITHOUT_RECIPIENTS.get(mode);
  if (text !== undefined) throw usage(text);
}
