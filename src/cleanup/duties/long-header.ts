/** cleanup/duties/long-header.ts: lines of a header above 998 bytes (RFC 5322 §2.1.1, DAT-08): folded where a blank stands, in
 *  lists of addresses also behind a comma. Postfix leaves them to its client, which cuts anywhere, behind the signature. */
import { isAddressField } from "./addresses.ts";
import { type FieldDuty, writtenName } from "./duty.ts";

/** Without CRLF. */
const MAX_LINE = 998;
/** Where a long line is cut, so that the next server may add something. */
const CUT = 900;

export const longHeader: FieldDuty = (field) => {
  if (field.text.length <= MAX_LINE) return undefined;
  const lines = field.text.split("\r\n");
  if (!lines.some((line) => line.length > MAX_LINE)) return undefined;
  const folded = lines.map((line) => (line.length > MAX_LINE ? folds(line, isAddressField(field)) : line));
  return {
    problem: () => `a line of ${writtenName(field)} is longer than ${MAX_LINE} bytes`,
    mended: folded.includes(undefined) ? undefined : { name: field.name, text: folded.join("\r\n") },
  };
};

/** undefined: no place to fold. No line of blanks comes into being (MSG-07). */
function folds(line: string, list: boolean): string | undefined {
  const lines: string[] = [];
  let start = 0;
  while (line.length - start > MAX_LINE) {
    const cut = lastBreak(line, start, list);
    if (cut === undefined) return undefined;
    lines.push(line.slice(start, cut));
    start = cut;
  }
  return [...lines, line.slice(start)]
    .map((piece, i) => (i > 0 && !/^[ \t]/.test(piece) ? ` ${piece}` : piece))
    .join("\r\n");
}

function lastBreak(line: string, start: number, list: boolean): number | undefined {
  // Not at the blanks that begin the line, and not in the name.
  const from = start === 0 ? line.indexOf(":") + 2 : start + 1;
  for (let at = start + CUT; at > from; at--) {
    const blank =
      /[ \t]/.test(line.charAt(at)) && !/[ \t]/.test(line.charAt(at + 1)) && line.slice(start, at).trim() !== "";
    if (blank || (list && line[at - 1] === "," && !insideQuotes(line, start, at))) return at;
  }
  return undefined;
}

/** Counted on this piece only: who quotes more than 900 bytes gets a fold inside, which a reader takes out again. */
function insideQuotes(line: string, start: number, at: number): boolean {
  return (line.slice(start, at).match(/"/g)?.length ?? 0) % 2 === 1;
}
