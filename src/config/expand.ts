/** config/expand.ts: `$` expansion of main.cf values (postconf(5)): $name ${name} $(name), the conditional forms
 *  ${name?a} ${name:b} ${name?{a}:{b}}, and comparisons ${{a} == {b} ? {c} : {d}}. `$$` is one `$`.
 *  Values are expanded in turn, so nesting and total work are bounded: arbitrary text gives text or a ParameterError. */
import { compareLevels } from "./compatibility-level.ts";
import { ParameterError } from "./declare.ts";

const MAX_NESTING = 100;
/** References and characters that one call may produce; stops a = $b$b, b = $c$c, … */
const MAX_STEPS = 100_000;
const MAX_LENGTH = 1_048_576;

interface Run {
  readonly lookup: (name: string) => string | undefined;
  steps: number;
  length: number;
}

/** Expands all macros of `text`; `lookup` gives unexpanded values. Throws ParameterError. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes("$")) return text;
  return expandText(text, { lookup, steps: 0, length: 0 }, 0);
}

function expandText(text: string, run: Run, depth: number): string {
  if (depth > MAX_NESTING) throw new ParameterError(`unreasonable macro call nesting: "${shown(text)}"`);
  let out = "";
  let at = 0;
  for (;;) {
    const dollar = text.indexOf("$", at);
    const literal = dollar < 0 ? text.slice(at) : text.slice(at, dollar);
    out += charge(literal, run);
    if (dollar < 0) return out;
    const next = text[dollar + 1];
    if (next === "$") {
      out += charge("$", run);
      at = dollar + 2;
    } else if (next === "{" || next === "(") {
      const end = closing(text, dollar + 1);
      if (end < 0) throw new ParameterError(`truncated macro reference: "${shown(text)}"`);
      out += expandBody(text.slice(dollar + 2, end), run, depth);
      at = end + 1;
    } else {
      const name = /[A-Za-z0-9_]*/y;
      name.lastIndex = dollar + 1;
      const found = name.exec(text)?.[0] ?? "";
      if (found === "") throw new ParameterError(`empty macro name: "${shown(text)}"`);
      out += expandText(run.lookup(found) ?? "", run, depth + 1);
      at = dollar + 1 + found.length;
    }
  }
}

/** Counts work; every piece of output and every reference goes through here. */
function charge(piece: string, run: Run): string {
  run.length += piece.length;
  if (++run.steps > MAX_STEPS || run.length > MAX_LENGTH) throw new ParameterError("macro expansion is too long");
  return piece;
}

/** Where the bracket at `open` is closed; -1 if nowhere. Only brackets of the same kind count. */
function closing(text: string, open: number): number {
  const opener = text[open];
  const closer = opener === "{" ? "}" : ")";
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === opener) depth++;
    else if (text[i] === closer && --depth === 0) return i;
  }
  return -1;
}

/** What stands between the brackets of ${…} or $(…). */
function expandBody(body: string, run: Run, depth: number): string {
  const start = body.trimStart();
  if (start.startsWith("{")) return expandComparison(start, run, depth);
  const name = /^[A-Za-z0-9_]+/.exec(start)?.[0];
  if (name === undefined) {
    throw new ParameterError(start === "" ? `empty macro name: "${shown(body)}"` : badSyntax(body));
  }
  const rest = start.slice(name.length).trimStart();
  const value = run.lookup(name) ?? "";
  if (rest === "") return expandText(value, run, depth + 1);
  return expandText(choose(rest, value !== "", body), run, depth + 1);
}

/** `{left} op {right}` with or without a choice behind it; alone it is `true` or empty. */
function expandComparison(body: string, run: Run, depth: number): string {
  const left = bracedText(body, body);
  const operator = /^\s*(==|!=|<=|>=|<|>)(level)?\s*/.exec(left.rest);
  if (!operator) throw new ParameterError(badSyntax(body));
  const right = bracedText(left.rest.slice(operator[0].length), body);
  const a = expandText(left.text, run, depth + 1);
  const b = expandText(right.text, run, depth + 1);
  const order = operator[2] ? compareLevels(a, b) : compareTexts(a, b);
  const holds = OPERATORS[operator[1] as keyof typeof OPERATORS](order);
  const rest = right.rest.trimStart();
  if (rest === "") return charge(holds ? "true" : "", run);
  return expandText(choose(rest, holds, body), run, depth + 1);
}

const OPERATORS = {
  "==": (order: number) => order === 0,
  "!=": (order: number) => order !== 0,
  "<": (order: number) => order < 0,
  "<=": (order: number) => order <= 0,
  ">": (order: number) => order > 0,
  ">=": (order: number) => order >= 0,
} as const;

/** The text that `?yes`, `:no` or `?{yes}:{no}` selects; unexpanded. */
function choose(rest: string, holds: boolean, body: string): string {
  if (rest.startsWith(":")) return holds ? "" : lastChoice(rest.slice(1), body);
  if (!rest.startsWith("?")) throw new ParameterError(badSyntax(body));
  const after = rest.slice(1);
  if (!after.trimStart().startsWith("{")) return holds ? after : "";
  const yes = bracedText(after, body);
  const tail = yes.rest.trim();
  if (tail === "") return holds ? yes.text : "";
  if (!tail.startsWith(":")) throw new ParameterError(badSyntax(body));
  const no = lastChoice(tail.slice(1), body);
  return holds ? yes.text : no;
}

/** A choice that ends the body: `{text}`, or all that is left. */
function lastChoice(text: string, body: string): string {
  if (!text.trimStart().startsWith("{")) return text;
  const braced = bracedText(text, body);
  if (braced.rest.trim() !== "") throw new ParameterError(badSyntax(body));
  return braced.text;
}

/** `{ text }` at the beginning, without its braces and outer blanks, and what follows it. */
function bracedText(text: string, body: string): { readonly text: string; readonly rest: string } {
  const start = text.length - text.trimStart().length;
  const end = text[start] === "{" ? closing(text, start) : -1;
  if (end < 0) throw new ParameterError(badSyntax(body));
  return { text: text.slice(start + 1, end).trim(), rest: text.slice(end + 1) };
}

/** Numbers if both are all digits, else text. */
function compareTexts(a: string, b: string): number {
  if (/^\d+$/.test(a) && /^\d+$/.test(b)) {
    const [x, y] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
    if (x.length !== y.length) return x.length - y.length;
    return x < y ? -1 : Number(x > y);
  }
  return a < b ? -1 : Number(a > b);
}

function badSyntax(body: string): string {
  return `bad macro syntax: "\${${shown(body)}}"`;
}

function shown(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
