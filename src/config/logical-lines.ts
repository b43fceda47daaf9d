/** config/logical-lines.ts: bytes → logical lines, as main.cf, master.cf and text tables have them (postconf(5)).
 *  Lines that are blank or begin with `#` are transparent: they do not end a logical line. A line that begins with
 *  white space continues the one before. White space is kept, line ends are not. There are no inline comments. */
import type { Problem } from "./snapshot.ts";

/** One physical line of a logical line. */
export interface LinePart {
  /** Physical line number, from 1. */
  readonly line: number;
  /** Where its text begins in LogicalLine.text. */
  readonly offset: number;
}

export interface LogicalLine {
  readonly text: string;
  /** At least one, ascending. */
  readonly parts: readonly LinePart[];
  /** The line number of the first part. */
  readonly line: number;
}

const BLANK = /^[ \t\r\f\v]$/;

/** Splits `input` into logical lines. `file` is only for the problems, which are all warnings. */
export function readLogicalLines(
  input: string | Uint8Array,
  file: string,
): { readonly lines: readonly LogicalLine[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const warn = (line: number, text: string) => problems.push({ severity: "warning", at: { file, line }, text });
  const open: { text: string[]; parts: LinePart[]; length: number }[] = [];
  const physical = physicalLines(input, (text) => warn(1, text));
  for (const [index, text] of physical.entries()) {
    const line = index + 1;
    if (isTransparent(text)) continue;
    if (text.includes("\0")) warn(line, "text after null byte may be ignored");
    const current = open.at(-1);
    if (current && BLANK.test(text[0] ?? "")) {
      current.parts.push({ line, offset: current.length });
      current.text.push(text);
      current.length += text.length;
    } else {
      open.push({ text: [text], parts: [{ line, offset: 0 }], length: text.length });
    }
  }
  const lines = open.map(({ text, parts }) => ({ text: text.join(""), parts, line: parts[0]?.line ?? 1 }));
  const first = lines[0];
  if (first && BLANK.test(first.text[0] ?? "")) {
    warn(first.line, `logical line must not start with whitespace: "${first.text.slice(0, 30)}..."`);
    lines.shift();
  }
  return { lines, problems };
}

/** Physical lines without their LF, in any encoding: UTF-8 if it is that, else one character for each byte. */
export function physicalLines(input: string | Uint8Array, warn: (text: string) => void = () => {}): string[] {
  return (typeof input === "string" ? input : decode(input, warn)).split("\n");
}

/** Blank, or a comment. */
export function isTransparent(physicalLine: string): boolean {
  return /^[ \t\r\f\v]*(?:#|$)/.test(physicalLine);
}

/** The physical line on which the character at `offset` of the logical line stands. */
export function lineAt(logical: LogicalLine, offset: number): number {
  let line = logical.line;
  for (const part of logical.parts) {
    if (part.offset > offset) break;
    line = part.line;
  }
  return line;
}

function decode(bytes: Uint8Array, warn: (text: string) => void): string {
  const { buffer, byteOffset, byteLength } = bytes;
  const view = Buffer.from(buffer, byteOffset, byteLength);
  const text = view.toString("utf8");
  if (!text.includes("\ufffd")) return text;
  warn("text is not valid UTF-8; every byte is taken as one character");
  return view.toString("latin1");
}
