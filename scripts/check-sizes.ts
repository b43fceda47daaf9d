/** scripts/check-sizes.ts: files and functions stay short (CONTRIBUTING.md). Longer than the first number is a warning,
 *  longer than the second an error. A function that is one dispatch `switch` may reach 100 lines if a comment
 *  `// size: reason` stands in it or on the line above. */
import { type FoundFunction, findFunctions } from "./functions.ts";
import { type Finding, readTree, report, type SourceTree } from "./source-tree.ts";
import { type Token, tokenize } from "./tokens.ts";

const FILE_LINES = { warn: 300, fail: 500 };
const FUNCTION_LINES = { warn: 40, fail: 60, dispatch: 100 };
const REASON = /^\/\/\s*size:\s*\S+/;

/** Findings for all files of the tree, in order. */
export function checkSizes(tree: SourceTree): Finding[] {
  return [...tree].flatMap(([file, source]) => [...checkFile(file, source), ...checkFunctions(file, tokenize(source))]);
}

function checkFile(file: string, source: string): Finding[] {
  const lines = source.replace(/\n$/, "").split("\n").length;
  const level = levelOf(lines, FILE_LINES);
  return level ? [{ file, line: 1, level, message: `file has ${lines} lines${limitText(level, FILE_LINES)}` }] : [];
}

function checkFunctions(file: string, tokens: readonly Token[]): Finding[] {
  return findFunctions(tokens).flatMap((found) => {
    if (found.heading) return [];
    const lines = found.endLine - found.line + 1;
    const excused = isExcused(found, tokens);
    const limits = excused ? { warn: FUNCTION_LINES.dispatch, fail: FUNCTION_LINES.dispatch } : FUNCTION_LINES;
    const level = levelOf(lines, limits);
    if (level === undefined) return [];
    return [{ file, line: found.line, level, message: `${found.name} has ${lines} lines${limitText(level, limits)}` }];
  });
}

function levelOf(lines: number, limits: { warn: number; fail: number }): Finding["level"] | undefined {
  if (lines > limits.fail) return "error";
  return lines > limits.warn ? "warning" : undefined;
}

function limitText(level: Finding["level"], limits: { warn: number; fail: number }): string {
  return level === "error" ? `, more than ${limits.fail}` : `, aim at ${limits.warn} or less`;
}

/** Excused when the reason is given and the body really is a `switch`: at most a few tokens stand around it. */
function isExcused(found: FoundFunction, tokens: readonly Token[]): boolean {
  const reason = tokens.some(
    (t) => t.kind === "comment" && REASON.test(t.text) && t.line >= found.line - 1 && t.line <= found.endLine,
  );
  if (!reason) return false;
  const start = found.body.findIndex((token) => token.text === "switch");
  if (start < 0) return false;
  const line = found.body[start]?.line ?? 0;
  return line - found.line <= MAX_LINES_BEFORE_SWITCH;
}

/** A dispatch function may prepare a little before its switch. */
const MAX_LINES_BEFORE_SWITCH = 12;

if (import.meta.main) {
  process.exitCode = report("check-sizes", checkSizes(readTree(["src", "scripts", "test", "bin"])));
}
