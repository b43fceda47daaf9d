/** test/testbed/strace-lines.ts: the lines of `strace -f -ttt -y` as calls with a begin and an end. A call that another
 *  thread's line interrupts is two lines ("<unfinished ...>", "<... resumed>"). The order of lines is an order of causes:
 *  strace stops each thread at both ends of a call, so what a call's return brings about is written after it. */

export interface Call {
  readonly thread: string;
  readonly name: string;
  /** Of the descriptor, as -y shows it; of what was opened, for openat. Empty if strace shows none. */
  readonly path: string;
  /** All arguments as written. */
  readonly args: string;
  /** Those among the arguments; latin1, one character per byte. */
  readonly strings: readonly string[];
  /** They, joined. */
  readonly bytes: string;
  /** When it began, in epoch milliseconds. */
  readonly beganMs: number;
  /** Line numbers from 1; the end is Infinity for a call that never returned. */
  readonly begin: number;
  readonly end: number;
  /** Negative on failure. */
  readonly result: number;
}

/** Calls in order of their beginnings. Throws for a line that is none of strace's. */
export function parseStrace(trace: string): readonly Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, number>();
  trace.split("\n").forEach((line, index) => {
    if (line === "") return;
    const [, thread = "", seconds = "", text = ""] = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line) ?? [];
    if (text === "") throw new Error(`No line of strace -f -ttt: ${line}`);
    if (/^(?:\+\+\+|---) /.test(text)) return;
    const at = { thread, line: index + 1, beganMs: Number(seconds) * 1000 };
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    if (!resumed) {
      if (text.endsWith(" <unfinished ...>")) unfinished.set(thread, calls.length);
      calls.push(begun(text, at));
      return;
    }
    const position = unfinished.get(thread);
    const first = position === undefined ? undefined : calls[position];
    unfinished.delete(thread);
    // Its beginning was before strace came.
    if (first && position !== undefined) calls[position] = finished(first, resumed[1] ?? "", at.line);
  });
  return calls;
}

function begun(text: string, at: { readonly thread: string; readonly line: number; readonly beganMs: number }): Call {
  const [, name = "", rest = ""] = /^(\w+)\((.*)$/.exec(text) ?? [];
  if (name === "") throw new Error(`No call: ${text.slice(0, 200)}`);
  const whole = !rest.endsWith(" <unfinished ...>");
  const args = whole ? rest : rest.slice(0, -" <unfinished ...>".length);
  const call = {
    thread: at.thread,
    name,
    args: "",
    path: "",
    strings: [],
    bytes: "",
    beganMs: at.beganMs,
    begin: at.line,
    end: Number.POSITIVE_INFINITY,
  };
  return whole ? finished({ ...call, result: -1 }, args, at.line) : withArguments({ ...call, result: -1 }, args);
}

function finished(call: Call, rest: string, end: number): Call {
  const [, args = "", result = "-1"] = /^(.*)\) += (-?\d+|\?)/.exec(rest) ?? [];
  const opened = call.name === "openat" ? /^.*\) += \d+<(.*)>$/.exec(rest)?.[1] : undefined;
  const done = { ...withArguments(call, call.args + args), end, result: result === "?" ? -1 : Number(result) };
  return opened === undefined ? done : { ...done, path: opened };
}

function withArguments(call: Call, args: string): Call {
  const strings = (args.match(/"(?:[^"\\]|\\.)*"/g) ?? []).map((string) => unescaped(string.slice(1, -1)));
  const path = call.name === "openat" ? "" : (/^\d+<([^>]*)>/.exec(args)?.[1] ?? "");
  return { ...call, args, path, strings, bytes: strings.join("") };
}

const LETTERS = new Map(Object.entries({ n: "\n", r: "\r", t: "\t", v: "\v", f: "\f" }));

function unescaped(text: string): string {
  return text.replace(/\\(?:([0-7]{1,3})|(.))/g, (_, octal: string | undefined, letter: string) =>
    octal === undefined ? (LETTERS.get(letter) ?? letter) : String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
