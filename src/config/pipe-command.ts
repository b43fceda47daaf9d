/** config/pipe-command.ts: what a pipe service of master.cf runs (pipe(8), COMMAND ATTRIBUTE SYNTAX): user=, flags=, argv= and so on.
 *  Only syntax; whether the account exists and may be used is said where the service is started. */
import { ParameterError } from "./declare.ts";
import type { ServiceEntry } from "./snapshot.ts";

export interface PipeCommand {
  readonly user: string;
  /** undefined: the primary group of the user. */
  readonly group: string | undefined;
  /** The program and its arguments, macros unexpanded. */
  readonly argv: readonly [string, ...string[]];
  /** Letters of BDFORXhqu.> */
  readonly flags: ReadonlySet<string>;
  /** "": $queue_directory. */
  readonly directory: string;
  /** Line end of what the command reads. */
  readonly eol: string;
  /** Stands for the null sender. */
  readonly nullSender: string;
  /** Bytes; Infinity: no limit. */
  readonly sizeLimit: number;
  /** Flags that nobody knows. */
  readonly unknownFlags: readonly string[];
}

const FLAGS = "BDFORXhqu.>";

/** Names that stand for something in an argument; those of a recipient make an argument for each. */
export const RECIPIENT_MACROS: ReadonlySet<string> = new Set([
  "recipient",
  "original_recipient",
  "user",
  "extension",
  "mailbox",
  "domain",
]);
const MACROS: ReadonlySet<string> = new Set([
  ...RECIPIENT_MACROS,
  ..."sender nexthop queue_id size envid".split(" "),
  ..."client_address client_helo client_hostname client_port client_protocol".split(" "),
  ..."sasl_method sasl_sender sasl_username".split(" "),
]);

/** `$name`, `${name}`, `$(name)`, `$$`. */
export const PIPE_MACRO = /\$(?:\$|(\w+)|\{(\w+)\}|\((\w+)\))/g;

/** Throws ParameterError with pipe(8)'s words. */
export function parsePipeCommand({ args }: Pick<ServiceEntry, "args">): PipeCommand {
  const found = new Map<string, string>();
  for (const [index, word] of args.entries()) {
    const [, name = "", value = ""] = /^([^=]*)=([\s\S]*)$/.exec(word) ?? [];
    const key = name.toLowerCase();
    if (/^-[A-Za-z]/.test(word) && found.size === 0) continue; // -v
    if (key === "argv") return commandOf(found, [value, ...args.slice(index + 1)]);
    if (!ATTRIBUTES.has(key)) throw new ParameterError(`unknown attribute name: ${word}`);
    found.set(key, value);
  }
  throw new ParameterError("missing argv= command-line attribute");
}

const ATTRIBUTES: ReadonlySet<string> = new Set("user flags directory chroot eol null_sender size".split(" "));

function commandOf(found: ReadonlyMap<string, string>, [program = "", ...rest]: readonly string[]): PipeCommand {
  const [user = "", group = ""] = (found.get("user") ?? "").split(/:(.*)/s);
  if (user === "") throw new ParameterError("missing user= command-line attribute");
  if (program === "") throw new ParameterError("missing argv= command-line attribute");
  if (found.has("chroot")) throw new ParameterError("chroot= is not supported here");
  const size = found.get("size");
  if (size !== undefined && !/^\d{1,15}$/.test(size)) throw new ParameterError(`bad size= value: ${size}`);
  for (const word of [program, ...rest]) checkMacros(word);
  const letters = [...(found.get("flags") ?? "")];
  return {
    user,
    group: group === "" ? undefined : group,
    argv: [program, ...rest],
    flags: new Set(letters.filter((letter) => FLAGS.includes(letter))),
    directory: found.get("directory") ?? "",
    eol: unescapeC(found.get("eol") ?? "\\n"),
    nullSender: found.get("null_sender") ?? "MAILER-DAEMON",
    sizeLimit: size === undefined ? Number.POSITIVE_INFINITY : Number(size),
    unknownFlags: letters.filter((letter) => !FLAGS.includes(letter)),
  };
}

function checkMacros(word: string): void {
  for (const [, a, b, c] of word.matchAll(PIPE_MACRO)) {
    const name = a ?? b ?? c;
    if (name !== undefined && !MACROS.has(name)) throw new ParameterError(`unknown macro name: "${name}"`);
  }
  const rest = word.replace(PIPE_MACRO, "");
  if (rest.includes("$")) throw new ParameterError(`bad macro syntax: "${word}"`);
}

const ESCAPES: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** \a \b \f \n \r \t \v \\ and up to three octal digits, as unescape(3postfix). */
function unescapeC(text: string): string {
  return text.replace(/\\([0-7]{1,3}|[\s\S])/g, (_, what: string) =>
    /^[0-7]/.test(what) ? String.fromCharCode(Number.parseInt(what, 8) & 0xff) : (ESCAPES[what] ?? what),
  );
}
