/** scripts/imports.ts: the import and export-from statements of one file, and its import() calls, read from tokens. */
import path from "node:path";
import type { Token } from "./tokens.ts";

export interface SourceImport {
  readonly line: number;
  /** As written, without quotes. */
  readonly specifier: string;
  /** For a relative specifier the file it means, relative to the root; undefined for a package or a Node module. */
  readonly target: string | undefined;
  /** `import type` or `export type`: gone when the program runs. */
  readonly typeOnly: boolean;
}

/** All imports in order. An import() of something other than a literal string is not seen. */
export function importsOf(file: string, allTokens: readonly Token[]): SourceImport[] {
  const tokens = allTokens.filter((token) => token.kind !== "comment");
  const found: SourceImport[] = [];
  for (const [at, token] of tokens.entries()) {
    if (token.kind !== "word" || (token.text !== "import" && token.text !== "export")) continue;
    if (tokens[at - 1]?.text === ".") continue;
    const literal = sourceLiteral(tokens, at);
    if (literal === undefined) continue;
    const specifier = literal.text.slice(1, -1);
    const typeOnly = tokens[at + 1]?.text === "type" && tokens[at + 2]?.text !== "from";
    found.push({ line: literal.line, specifier, target: targetOf(file, specifier), typeOnly });
  }
  return found;
}

/** The string behind `from`, or the string that is all of the import; undefined for other statements. */
function sourceLiteral(tokens: readonly Token[], at: number): Token | undefined {
  const isImport = tokens[at]?.text === "import";
  let next = at + 1;
  if (isImport && tokens[next]?.text === "(") next++;
  if (isImport && tokens[next]?.kind === "string") return tokens[next];
  // import X, { … } from "…"; export * as x from "…"; export { … } from "…"
  let depth = 0;
  for (; next < tokens.length; next++) {
    const token = tokens[next];
    if (token === undefined) return undefined;
    if (token.text === "{") depth++;
    else if (token.text === "}") depth--;
    else if (depth === 0 && token.text === "from" && tokens[next + 1]?.kind === "string") return tokens[next + 1];
    else if (depth === 0 && !/^([\w$]+|[*,])$/u.test(token.text)) return undefined;
    else if (depth === 0 && STATEMENTS.has(token.text)) return undefined;
  }
  return undefined;
}

const STATEMENTS = new Set(["const", "let", "var", "function", "class", "interface", "default", "abstract", "async"]);

function targetOf(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier));
}
