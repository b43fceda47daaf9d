/** tables/regexp-syntax.ts: PCRE's `x` form → the plain one, PCRE → JavaScript. A construct with another meaning over there is
 *  refused, never passed on as it is. */

/** A construct of PCRE that JavaScript has not. */
export class UnsupportedSyntax extends Error {
  override readonly name = "UnsupportedSyntax";
}

/** pcre_table(5) flag x: blanks and `#` to the end of the line do not count, except escaped or in a class. */
export function expandedWithoutBlanks(pattern: string): string {
  let out = "";
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern.charAt(i);
    if (c === "\\") out += c + pattern.charAt(++i);
    else if (c === "[") {
      const end = classEnd(pattern, i);
      out += pattern.slice(i, end);
      i = end - 1;
    } else if (c === "#") {
      while (i < pattern.length && pattern.charAt(i) !== "\n") i++;
    } else if (!/\s/.test(c)) out += c;
  }
  return out;
}

/** Index behind the `]` of the class that begins at `from`. */
function classEnd(pattern: string, from: number): number {
  let i = from + 1;
  if (pattern.charAt(i) === "^") i++;
  if (pattern.charAt(i) === "]") i++;
  for (; i < pattern.length; i++) {
    const c = pattern.charAt(i);
    if (c === "]") return i + 1;
    const named = /^\[([:.=]).*?\1\]/.exec(pattern.slice(i, i + 40));
    if (named) i += named[0].length - 1;
    else if (c === "\\") i++;
  }
  return pattern.length;
}

const ESCAPES = new Map([
  ["A", "(?<![\\s\\S])"],
  ["z", "(?![\\s\\S])"],
  ["Z", "(?=\\n?(?![\\s\\S]))"],
  ["h", "[ \\t]"],
  ["H", "[^ \\t]"],
  ["a", "\\x07"],
  ["e", "\\x1b"],
]);

/** Escapes that mean the same in both, outside of a class. */
const SAME = /[dDwWsSbBnrtf]/;

const POSIX_CLASSES = new Map([
  ["alpha", "A-Za-z"],
  ["digit", "0-9"],
  ["alnum", "A-Za-z0-9"],
  ["upper", "A-Z"],
  ["lower", "a-z"],
  ["space", "\\s"],
  ["blank", " \\t"],
  ["punct", "!-\\/:-@\\[-`{-~"],
  ["xdigit", "0-9A-Fa-f"],
  ["word", "\\w"],
  ["cntrl", "\\x00-\\x1f\\x7f"],
  ["print", "\\x20-\\x7e"],
  ["graph", "\\x21-\\x7e"],
]);

/** PCRE → JavaScript. Throws UnsupportedSyntax; what is plainly wrong is left for RegExp to refuse. */
export function toJavaScript(pattern: string): string {
  let out = "";
  for (let i = 0; i < pattern.length; ) {
    const rest = pattern.slice(i);
    const [taken, text] = rest.startsWith("\\")
      ? convertEscape(rest)
      : rest.startsWith("[")
        ? convertClass(pattern.slice(i, classEnd(pattern, i)))
        : convertPlain(rest);
    out += text;
    i += taken;
  }
  return out;
}

type Converted = readonly [taken: number, text: string];

function convertEscape(rest: string): Converted {
  const literal = /^\\Q([\s\S]*?)(?:\\E|$)/.exec(rest);
  if (literal) return [literal[0].length, (literal[1] ?? "").replaceAll(/[^\w\s]/g, "\\$&")];
  const hex = /^\\x[0-9A-Fa-f]{2}/.exec(rest);
  if (hex) return [hex[0].length, hex[0]];
  const back = /^\\(?:([1-9]\d?)|g\{?([1-9]\d?)\}?|k[<{'](\w+)[>}'])/.exec(rest);
  if (back) return [back[0].length, back[3] === undefined ? `(?:\\${back[1] ?? back[2]})` : `\\k<${back[3]}>`];
  const c = rest.charAt(1);
  const known = ESCAPES.get(c);
  if (known !== undefined) return [2, known];
  if (SAME.test(c) || /[^A-Za-z0-9]/.test(c)) return [2, `\\${c}`];
  throw new UnsupportedSyntax(`"\\${c}" is not supported`);
}

function convertClass(text: string): Converted {
  const inside = text
    // "]" at the front is itself; JavaScript has the empty class there.
    .replace(/^\[(\^?)\]/, "[$1\\]")
    .replaceAll(/\\h/g, " \\t")
    .replaceAll(/\[:(\^?)(\w+):\]/g, (whole, not: string, name: string) => {
      const known = not === "" ? POSIX_CLASSES.get(name) : undefined;
      if (known === undefined) throw new UnsupportedSyntax(`the class "${whole}" is not supported`);
      return known;
    });
  const unknown = /\\([ACE-MOPQRTUVXYZac-eg-mo-quyz])/.exec(inside.replaceAll(/\\[\\dDwWsSbnrtfx]/g, ""));
  if (unknown) throw new UnsupportedSyntax(`"\\${unknown[1]}" in a class is not supported`);
  return [text.length, inside];
}

function convertPlain(rest: string): Converted {
  const comment = /^\(\?#[^)]*\)/.exec(rest);
  if (comment) return [comment[0].length, ""];
  const named = /^\(\?P?<(?![=!])(\w+)>/.exec(rest) ?? /^\(\?'(\w+)'/.exec(rest);
  if (named) return [named[0].length, `(?<${named[1]}>`];
  const group = /^\(\?(?:[:=!]|<[=!]|[ims]*(?:-[ims]+)?:)/.exec(rest);
  if (group) return [group[0].length, group[0]];
  if (/^\(\?/.test(rest) || /^\(\*[A-Z]/.test(rest)) {
    throw new UnsupportedSyntax(`"${rest.slice(0, 3)}" is not supported`);
  }
  const possessive = /^(?:[*+?]|\{\d+(?:,\d*)?\})\+/.exec(rest);
  if (possessive) throw new UnsupportedSyntax(`the possessive "${possessive[0]}" is not supported`);
  const count = /^\{\d+(?:,\d*)?\}/.exec(rest);
  if (count) return [count[0].length, count[0]];
  return [1, rest.startsWith("{") ? "\\{" : rest.charAt(0)];
}
