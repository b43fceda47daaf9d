/** scripts/functions.ts: finds the functions of a file in its tokens, by the braces of their bodies.
 *  An arrow function without braces is an expression and is not counted. */
import type { Token } from "./tokens.ts";

export interface FoundFunction {
  readonly name: string;
  readonly line: number;
  readonly endLine: number;
  /** Tokens of the body, without its outer braces and without comments. */
  readonly body: readonly Token[];
  /** A describe() or suite() callback: a heading over tests, not a function in the sense of the limits. */
  readonly heading: boolean;
}

const OPENING: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{", ">": "<" };
const STATEMENT_WORDS = new Set(["if", "for", "while", "switch", "catch", "with"]);
/** Words that may stand before a block, or before an object, but never end a return type. */
const NOT_A_TYPE = new Set(
  "try do else finally return yield default case throw new await in of extends implements satisfies as const let var".split(
    " ",
  ),
);
const TYPE_OPERATORS = new Set([".", "|", "&", ":", "?", "=>", "-"]);
const TYPE_WORDS = new Set(["is", "asserts", "keyof", "typeof", "readonly", "infer", "unique", "abstract"]);

/** All functions with a body in braces, outer before inner. */
export function findFunctions(allTokens: readonly Token[]): FoundFunction[] {
  const tokens = allTokens.filter((token) => token.kind !== "comment");
  const found: FoundFunction[] = [];
  for (let at = 0; at < tokens.length; at++) {
    if (!isPunctuator(tokens[at], "{")) continue;
    const start = functionStart(tokens, at);
    if (start === undefined) continue;
    const end = closingBrace(tokens, at);
    found.push({
      name: nameOf(tokens, start),
      line: tokens[start]?.line ?? 0,
      endLine: tokens[end]?.endLine ?? tokens.at(-1)?.endLine ?? 0,
      body: tokens.slice(at + 1, end),
      heading: isHeading(tokens, start),
    });
  }
  return found;
}

function isPunctuator(token: Token | undefined, text: string): boolean {
  return token?.kind === "punctuator" && token.text === text;
}

/** Index of the first token of the function whose body opens at `brace`; undefined for any other brace. */
function functionStart(tokens: readonly Token[], brace: number): number | undefined {
  const before = tokens[brace - 1];
  if (isPunctuator(before, "=>")) return arrowStart(tokens, brace - 1);
  const close = isPunctuator(before, ")") ? brace - 1 : parametersBeforeType(tokens, brace - 1);
  return close === undefined ? undefined : declarationStart(tokens, close);
}

/** For `name(…) {`: the index of the name, or of the parenthesis; undefined for `if (…) {` and its like. */
function declarationStart(tokens: readonly Token[], close: number): number | undefined {
  const open = matchBackwards(tokens, close);
  if (open === undefined) return undefined;
  let at = open - 1;
  if (isPunctuator(tokens[at], ">")) at = (matchBackwards(tokens, at) ?? 0) - 1; // type parameters
  const name = tokens[at];
  if (name === undefined) return undefined;
  const loop = name.text === "await" && tokens[at - 1]?.text === "for";
  const member = isPunctuator(tokens[at - 1], ".") || isPunctuator(tokens[at - 1], "?.");
  if (name.kind === "word" && !member && (loop || STATEMENT_WORDS.has(name.text))) return undefined;
  if (tokens[at - 1]?.text === "extends") return undefined;
  if (isPunctuator(name, "]")) return matchBackwards(tokens, at) ?? at; // [Symbol.dispose]()
  if (name.kind === "word" || name.kind === "string" || name.kind === "number") return at;
  return isPunctuator(name, "*") ? at : undefined;
}

function arrowStart(tokens: readonly Token[], arrow: number): number {
  const before = tokens[arrow - 1];
  if (isPunctuator(before, ")")) return matchBackwards(tokens, arrow - 1) ?? arrow;
  const close = parametersBeforeType(tokens, arrow - 1);
  if (close !== undefined) return matchBackwards(tokens, close) ?? arrow;
  return arrow - 1;
}

/** For `) : Type` ending at `last`: the index of the parenthesis; undefined when no return type ends there. */
function parametersBeforeType(tokens: readonly Token[], last: number): number | undefined {
  for (let at = last; at > 0; at--) {
    const token = tokens[at];
    if (token === undefined) return undefined;
    if (at < last && isPunctuator(token, ":") && isPunctuator(tokens[at - 1], ")")) return at - 1;
    if (at < last && areTwoOperands(token, tokens[at + 1])) return undefined;
    if (token.kind === "word" && NOT_A_TYPE.has(token.text)) return undefined;
    if (token.kind !== "punctuator") continue;
    if (OPENING[token.text] !== undefined) at = matchBackwards(tokens, at) ?? 0;
    else if (at === last || !TYPE_OPERATORS.has(token.text)) return undefined;
  }
  return undefined;
}

/** In one type two operands never stand side by side: `} class A` is the end of one thing and the start of another. */
function areTwoOperands(left: Token, right: Token | undefined): boolean {
  if (left.kind === "punctuator" && !isPunctuator(left, "}")) return false;
  if (right === undefined || (right.kind === "punctuator" && !isPunctuator(right, "{"))) return false;
  return !TYPE_WORDS.has(left.text) && !TYPE_WORDS.has(right.text);
}

/** Index of the bracket that opens the one at `close`; undefined when there is none. */
function matchBackwards(tokens: readonly Token[], close: number): number | undefined {
  const closing = tokens[close]?.text ?? "";
  const opening = OPENING[closing];
  let depth = 0;
  for (let at = close; at >= 0; at--) {
    if (isPunctuator(tokens[at], closing)) depth++;
    else if (opening !== undefined && isPunctuator(tokens[at], opening) && --depth === 0) return at;
  }
  return undefined;
}

function closingBrace(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (isPunctuator(tokens[at], "{")) depth++;
    else if (isPunctuator(tokens[at], "}") && --depth === 0) return at;
  }
  return tokens.length;
}

function nameOf(tokens: readonly Token[], start: number): string {
  const first = tokens[start];
  if (first?.kind === "word" && first.text !== "function") return first.text;
  const before = start - (tokens[start - 1]?.text === "async" ? 2 : 1);
  if (isPunctuator(tokens[before], "=") && tokens[before - 1]?.kind === "word") return tokens[before - 1]?.text ?? "";
  return "(anonymous)";
}

/** The callback is the last argument of describe() or suite(), with or without options before it. */
function isHeading(tokens: readonly Token[], start: number): boolean {
  const before = start - (tokens[start - 1]?.text === "async" ? 2 : 1);
  if (!isPunctuator(tokens[before], ",")) return false;
  for (let at = before - 1; at > 0; at--) {
    if (isPunctuator(tokens[at], "(")) return tokens[at - 1]?.text === "describe" || tokens[at - 1]?.text === "suite";
    if (isPunctuator(tokens[at], ")") || isPunctuator(tokens[at], "}") || isPunctuator(tokens[at], "]")) {
      at = matchBackwards(tokens, at) ?? 0;
    }
  }
  return false;
}
