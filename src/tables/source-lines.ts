/** tables/source-lines.ts: logical lines of a text table (postmap(1)): comments and empty lines are dropped, a line that
 *  begins with white space continues the one before, also across comments. The same form serves rule files. */

export interface SourceLine {
  readonly text: string;
  /** Line number of its first line, from 1. */
  readonly line: number;
}

/** Decodes as UTF-8; bytes that are none become U+FFFD and so match nothing. */
export function sourceLines(bytes: Uint8Array): readonly SourceLine[] {
  const logical: { parts: string[]; line: number }[] = [];
  const physical = new TextDecoder().decode(bytes).split("\n");
  for (const [i, raw] of physical.entries()) {
    const text = raw.trimEnd();
    const trimmed = text.trimStart();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const last = logical.at(-1);
    if (text !== trimmed && last) last.parts.push(text);
    else logical.push({ parts: [trimmed], line: i + 1 });
  }
  return logical.map(({ parts, line }) => ({ text: parts.join(""), line }));
}
