/** smtpd/forbidden-commands.ts: smtpd_forbidden_commands: words and inline regexp tables that betray a client which does
 *  not speak SMTP. Other tables are ignored, as Postfix ignores their lookup errors. */

export interface ForbiddenCommands {
  /** `verb` is the first word of the line, as sent. */
  matches(verb: string): boolean;
}

/** Items of the list; braces still on. A pattern that does not compile is left out. */
export function parseForbiddenCommands(items: readonly string[]): ForbiddenCommands {
  const words = new Set<string>();
  const patterns: RegExp[] = [];
  for (const item of items) {
    if (/^regexp:\{/i.test(item)) patterns.push(...inlinePatterns(item.slice("regexp:".length)));
    else if (!item.includes(":")) words.add(item.toUpperCase());
  }
  return { matches: (verb) => words.has(verb.toUpperCase()) || patterns.some((p) => p.test(verb)) };
}

/** `{{/re/flags result}, {…}}`: POSIX style, case is ignored unless the flag `i` turns that off (regexp_table(5)). */
function inlinePatterns(braces: string): RegExp[] {
  const patterns: RegExp[] = [];
  for (const [, source = "", flags = ""] of braces.matchAll(/\{\s*\/((?:[^/\\]|\\.)+)\/([a-z]*)\s[^{}]*\}/g)) {
    try {
      patterns.push(new RegExp(source, flags.includes("i") ? "" : "i"));
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
    }
  }
  return patterns;
}

const HEADER_LIKE = /^[\x21-\x39\x3b-\x7e]+:/;

/** A mail header where a command should be: an HTTP or mail body poured into the session. */
export function looksLikeHeader(line: string): boolean {
  return HEADER_LIKE.test(line);
}
