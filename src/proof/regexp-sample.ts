/** proof/regexp-sample.ts: a text that a simple regular expression matches, as a guess: whoever uses it asks the table
 *  whether it does. Reads the usual patterns of mail tables, `/^.*@example\.com$/`, and gives up on the rest. */

/** undefined: too hard, or longer than a name or address. */
export function sampleOf(pattern: string): string | undefined {
  const body = /^\s*([^\w\s\\])(.*)\1\w*\s*$/s.exec(pattern)?.[2];
  if (body === undefined || body.length > 300 || pattern.startsWith("!")) return undefined;
  const sample = body
    .replace(/\((?:\?:)?([^()|]*)(?:\|[^()]*)?\)[?*+]?/g, "$1")
    .replace(/\[[^\]]*\](?:[+*?]|\{\d+(?:,\d*)?\})?/g, (set) => memberOf(set))
    .replace(/\\d[+*?]?/g, "1")
    .replace(/\\[wS][+*?]?/g, "x")
    .replace(/(^|[^\\])\.[+*?]?/g, "$1x")
    .replace(/\\\./g, ".")
    .replace(/[\^$]|\\([@/_-])/g, "$1")
    .replace(/[^.@]\?/g, "");
  return /[\\()[\]{}|*+?]/.test(sample) || sample.length > 254 ? undefined : sample;
}

/** One member of `[…]`: a letter or digit it lists; "x" where it says what it is not. */
function memberOf(set: string): string {
  if (set.startsWith("[^")) return "x";
  return /[A-Za-z0-9]/.exec(set.slice(1))?.[0] ?? set[1] ?? "x";
}
