/** tables/source-lines.ts: logical lines of a text table (postmap(1)): comments and empty lines are dropped, a line that
 *  begins with white space continues the one before, also across comments. The same form serves rule files. */

export interface SourceLine {
  readonly text: string;
  /** Line number of its first line, from 1. */
  readonly line: number;
}

/** Decodes as UTF-8; bytes that are none become U+FFFD. White space before the first line has nothing to continue: that
 *  line is dropped with its continuations, and `warn` is told, as in Postfix. */
export function sourceLines(bytes: Uint8Array, warn: (why: string) => void = () => undefined): readonly SourceLine[] {
  const logical: { parts: string[]; line: number }[] = [];
  const stray: string[] = [];
  const physical = new TextDecoder().decode(bytes).split("\n");
  for (const [i, raw] of physical.entries()) {
    const text = raw.replace(/[ \t\r\v\f]+$/, "");
    const trimmed = text.replace(/^[ \t\r\v\f]+/, "");
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    if (text === trimmed) logical.push({ parts: [trimmed], line: i + 1 });
    else (logical.at(-1)?.parts ?? stray).push(text);
  }
  if (stray.length > 0) {
    const text = stray.join("");
    warn(`logical line must not start with whitespace: "${text.length > 30 ? `${text.slice(0, 30)}...` : text}"`);
  }
  return logical.map(({ parts, line }) => ({ text: parts.join(""), line }));
}
